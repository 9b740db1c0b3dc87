import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, it } from "vitest";
import { root } from "../../scripts/lib.mjs";

/** `npm run audit`, with a stand-in for the registry that knows advisories of one package, or no advisories at all. */

const advisory = (severity: string) => ({
  ...{ id: 1, url: "https://example.com/advisory", title: "Answers too much", severity },
  ...{ vulnerable_versions: ">=0.0.1", cwe: [], cvss: { score: 0, vectorString: null } },
});

let registry: Server;
let home: string;
let answer: { status: number; body: object };
let asked: object;

beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  asked = {};
  registry = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    if (request.method !== "POST") return response.writeHead(404).end("{}");
    const body = Buffer.concat(parts);
    const text = request.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
    asked = JSON.parse(text.toString());
    return response.writeHead(answer.status).end(JSON.stringify(answer.body));
  }).listen(0, "127.0.0.1");
  await once(registry, "listening");
});

afterEach(async () => {
  registry.close();
  registry.closeAllConnections();
  await once(registry, "close");
  rmSync(home, { recursive: true });
});

async function audit(status: number, body: object = {}) {
  answer = { status, body };
  const address = registry.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const child = spawn(process.execPath, [join(root, "scripts/audit.mjs")], {
    env: {
      ...{ IMAGE_PROVIDER: "", PATH: process.env["PATH"], HOME: home, npm_config_fetch_retries: "0" },
      ...{ npm_config_registry: `http://127.0.0.1:${port}/`, npm_config_cache: join(home, "cache") },
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (text) => {
      output += text;
    });
  }
  const [code] = await once(child, "close");
  return { code, output };
}

it.each([
  ["high", 1],
  ["critical", 1],
  ["moderate", 0],
])("an advisory that is %s exits with %i, and is printed with its package", async (severity, code) => {
  const found = await audit(200, { hono: [advisory(severity)] });
  const counted = `Advisories of production dependencies: 1, high or critical: ${code}.`;
  expect(found).toEqual({
    code,
    output: `${severity}: hono: Answers too much https://example.com/advisory\n${counted}\n`,
  });
});

it("no advisory passes; packages that only development needs are not asked about", async () => {
  const output = "Advisories of production dependencies: 0, high or critical: 0.\n";
  expect(await audit(200)).toEqual({ code: 0, output });
  expect(asked).toHaveProperty("hono");
  expect(asked).not.toHaveProperty("playwright-core");
});

it.each([404, 405])(
  "a registry that answers %i has none to ask for: it is said, and passes",
  async (status) => {
    const output = `No audit: the registry has no advisories (it answered ${status}).\n`;
    expect(await audit(status)).toEqual({ code: 0, output });
  },
);

it("a registry that fails is a failure", async () => {
  expect(await audit(500)).toEqual({
    code: 1,
    output: expect.stringContaining("The registry could not be asked for advisories: 500"),
  });
});
