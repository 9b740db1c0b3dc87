import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { isInstalled, root } from "../../scripts/lib.mjs";

const run = promisify(execFile);
const tour = join(root, "docs/tour.sh");

let directory: string;
let service: ChildProcess;
let output = "";
/** The types of the webhooks that arrived. */
const received: string[] = [];

const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  received.push(JSON.parse(body).type);
  response.writeHead(204).end();
});

/** Listens on a free port. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address.port;
}

beforeAll(async () => {
  if (!isInstalled()) throw new Error("Run the tests by npm test, which installs the dependencies first.");
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  const probe = createServer();
  const port = await listen(probe);
  await new Promise((resolve) => probe.close(resolve));
  service = spawn(process.execPath, [join(root, "scripts/start.mjs")], {
    cwd: directory,
    // The settings of the environment must not change the responses.
    env: {
      ...{ PATH: process.env["PATH"], HOME: directory, PORT: String(port) },
      ...{ IMAGE_PROVIDER: "sketch", ALLOW_INSECURE_URLS: "true", STATE_DIR: join(directory, "state") },
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [service.stdout, service.stderr]) {
    stream?.on("data", (text) => {
      output += text;
    });
  }
  await vi.waitUntil(() => /^Ready on /m.test(output) || service.exitCode !== null, { timeout: 110_000 });
  expect(output).toMatch(/^Ready on /m);
});

afterAll(async () => {
  const ended = once(service, "close");
  if (service.kill("SIGTERM")) await ended;
  receiver.close();
  rmSync(directory, { recursive: true, force: true });
});

function environment(more: Record<string, string> = {}) {
  const key = /gih_live_\w+/.exec(output)?.[0] ?? "";
  const url = /^Ready on (\S+)/m.exec(output)?.[1] ?? "";
  return { env: { ...process.env, GIH_WEBHOOK_URL: "", GIH_URL: url, GIH_KEY: key, ...more } };
}

it("runs to its end on a fresh service, and again with a receiver of webhooks", async () => {
  const first = await run("bash", [tour], environment());
  expect(first.stderr).toBe("");
  expect(first.stdout).toMatch(/^Done: 16 steps as expected, for (80|88) credits. \d+ credits are left.$/m);
  expect(first.stdout).toMatch(/data.0.error: (connection_failed|timeout)\n/);
  const url = `http://127.0.0.1:${await listen(receiver)}/hook`;
  const second = await run("bash", [tour], environment({ GIH_WEBHOOK_URL: url }));
  expect(second.stdout).toContain("data.0.response_status: 204");
  expect(received).toContain("generation.succeeded");
}, 300_000);

it("stops at the first unexpected response", async () => {
  const failed = await run("bash", [tour], environment({ GIH_KEY: "gih_live_wrong" })).catch(
    (error: unknown) => error,
  );
  expect(failed).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/3\. Your balance\n {3}GET \/api\/v1\/credits\n {3}-> 401\n$/),
    stderr: expect.stringContaining("Unexpected response: status 401 instead of 200"),
  });
});
