import { execFile, spawn } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exitCodeOf, explain } from "../../clients/typescript/src/cli/failures.ts";
import { previewOf } from "../../clients/typescript/src/cli/terminal.ts";
import { createClient } from "../../clients/typescript/src/index.ts";
import { projectNode, root } from "../../scripts/lib.mjs";
import { newKey, type RunningService, startService } from "../support/service.ts";

/** The npm package as it would be published: packed, installed in an empty folder, and used from there. */

const execute = promisify(execFile);
const SOURCE = join(root, "clients/typescript");
const PNG = Buffer.from("89504e47", "hex");
const [BLOCK = ""] =
  readFileSync(join(SOURCE, "README.md"), "utf8").match(/(?<=```js\n)[^`]*createClient.*?(?=```)/s) ?? [];

let folder: string;
let tarball: string;
let service: RunningService;
let key: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "gpt-image-hub-package-"));
  [service] = await Promise.all([startService(), install()]);
  key = await newKey(service);
});

afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function install() {
  await execute("npm", ["pack", "--pack-destination", folder], { cwd: SOURCE });
  const [name = ""] = readdirSync(folder).filter((file) => file.endsWith(".tgz"));
  tarball = join(folder, name);
  writeFileSync(join(folder, "package.json"), '{ "type": "module", "private": true }');
  await execute("npm", ["install", "--offline", "--no-audit", tarball], { cwd: folder });
}

type Outcome = { code: number; out: string; err: string };

/** Runs the installed command as a shell does. */
function hub(
  args: string[],
  environment: Record<string, string | undefined> = {},
  input = "",
): Promise<Outcome> {
  const child = spawn(join(folder, "node_modules/.bin/gpt-image-hub"), args, {
    cwd: folder,
    env: { ...process.env, HOME: folder, GIH_URL: service.origin, GIH_KEY: key, ...environment },
  });
  const outcome = { out: "", err: "" };
  child.stdout.setEncoding("latin1").on("data", (text) => {
    outcome.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    outcome.err += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on("close", (code) => resolve({ ...outcome, code: code ?? -1 })));
}

const startOf = (file: string) => readFileSync(join(folder, file)).subarray(0, 4);

describe("the package", () => {
  it("has the files that it needs, and no others", async () => {
    const files = createPackageFromTarballData(readFileSync(tarball)).listFiles();
    const parts = ["api", "client", "errors", "events", "http", "index", "native", "platform", "webhooks"];
    const cli = ["arguments", "commands", "failures", "files", "index", "settings", "terminal"];
    const built = [...parts, ...cli.map((name) => `cli/${name}`)].flatMap((name) => [
      `dist/${name}.d.ts`,
      `dist/${name}.js`,
    ]);
    const names = ["CHANGELOG.md", "LICENSE", "README.md", "package.json", ...built];
    expect(files.map((file) => file.replace("/node_modules/gpt-image-hub/", "")).sort()).toEqual(
      names.sort(),
    );
  });

  it("has no fault that publint or arethetypeswrong know", async () => {
    const { messages } = await publint({ pkgDir: SOURCE, strict: true });
    expect(messages).toEqual([]);
    const checked = await checkPackage(createPackageFromTarballData(readFileSync(tarball)));
    const problems = "problems" in checked ? checked.problems : null;
    // It is made of ES modules only: Node 20 and newer import those, and Node 22 also by `require`.
    const asModule = problems?.filter(
      (problem) => !("resolutionKind" in problem) || !/node10|cjs/.test(problem.resolutionKind),
    );
    expect(asModule).toEqual([]);
  });

  it("runs the example of its README", async () => {
    writeFileSync(join(folder, "example.js"), BLOCK);
    const env = { ...process.env, GIH_URL: service.origin, GIH_KEY: key };
    const { stdout } = await execute("node", ["example.js"], { cwd: folder, env });
    expect(stdout.trim().split("\n").at(-1)).toBe("succeeded");
    const [file = ""] = readdirSync(folder).filter((name) => /^img_\w+\.png$/.test(name));
    expect(startOf(file)).toEqual(PNG);
  });

  it.each([
    ["no library for the platform", '["es2022"]', "{}"],
    [
      "the library DOM",
      '["es2022", "dom"]',
      "{ signal: new AbortController().signal, references: [new Blob([])] }",
    ],
  ])("compiles with %s", async (name, lib, options) => {
    const program = join(folder, name.replaceAll(" ", "-"));
    mkdirSync(program);
    const compiler = { module: "nodenext", target: "es2022", strict: true, exactOptionalPropertyTypes: true };
    writeFileSync(
      join(program, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compiler, lib: JSON.parse(lib), types: [], noEmit: true, skipLibCheck: false },
      }),
    );
    writeFileSync(
      join(program, "program.ts"),
      `import { createClient, verifyWebhook, type Image } from "gpt-image-hub";
const client = createClient({ apiKey: "gih_live_x", baseUrl: "https://hub.example.org" });
const { images } = await client.generate({ model: "gpt-image-2", prompt: "a lighthouse", quality: "high" }, ${options});
const first: Image | undefined = images[0];
const bytes: Uint8Array | undefined = first && (await client.download(first));
for await (const { usage } of client.list({ status: "failed" })) usage.credits satisfies number;
const event = await verifyWebhook("", { "webhook-id": "1" }, ["whsec_"]);
export const result = [bytes, event.data.status];
`,
    );
    const compile = execute(projectNode, [join(root, "node_modules/typescript/bin/tsc"), "-p", program]);
    const { stdout } = await compile.catch((error: { stdout: string }) => error);
    expect(stdout).toBe("");
  });
});

describe("the command line", () => {
  it("saves a picture, and says what it cost", async () => {
    const { code, out, err } = await hub(["a lighthouse at dusk", "-o", "lighthouse.png", "-s", "1024x1024"]);
    expect([code, startOf("lighthouse.png")]).toEqual([0, PNG]);
    expect(out).toMatch(/^lighthouse\.png {2}1024x1024 {2}\d+ KiB\n$/);
    expect(err).toMatch(/^8 credits, \d+ left {2}gen_\w{26}\n$/);
  });

  it("names files after the prompt and never replaces one of these", async () => {
    const first = await hub(["Three ships!", "-n", "2", "--json"]);
    const second = await hub(["generate", "Three ships!"]);
    const third = await hub(["Three ships!"]);
    expect(JSON.parse(first.out)).toMatchObject({
      object: "image_generation",
      usage: { credits: 16 },
      files: ["three-ships-1.png", "three-ships-2.png"],
    });
    expect([second.out, third.out]).toEqual([
      expect.stringMatching(/^three-ships\.png /),
      expect.stringMatching(/^three-ships-3\.png /),
    ]);
  });

  it("takes a prompt from standard input, references, and gives a picture to a pipe", async () => {
    writeFileSync(join(folder, "ref.png"), readFileSync(join(folder, "lighthouse.png")));
    const { code, out, err } = await hub(["-", "--ref", "ref.png", "-o", "-"], {}, "a storm\n");
    expect([code, out.slice(1, 4)]).toEqual([0, "PNG"]);
    expect(err).toMatch(/^8 credits/);
    const { url } = JSON.parse((await hub(["list", "--limit", "1", "--json"])).out).images[0];
    // A URL cannot go with a file in a form: the file is uploaded before.
    const mixed = await hub(["two", "--ref", url, "--ref", "ref.png", "-o", "mixed.png"]);
    expect(mixed.err).toContain("must be an https URL");
    expect(mixed.code).toBe(2);
  });

  it("starts, shows, lists and saves a generation in steps", async () => {
    const started = await hub(["a mill", "--async", "--idempotency-key", "mill-1"]);
    const id = started.out.trim();
    expect((await hub(["a mill", "--async", "--idempotency-key", "mill-1"])).out).toBe(started.out);
    expect((await hub(["get", id, "-o", "mill.png"])).out).toMatch(/^mill\.png {2}/);
    expect(startOf("mill.png")).toEqual(PNG);
    const [row, url] = (await hub(["get", id])).out.split("\n");
    expect(row).toMatch(new RegExp(`^${id}\tsucceeded\t8 credits\t20\\S+\tgpt-image-2$`));
    expect(url).toMatch(/^http.*\.png$/);
    const rows = (await hub(["list", "--limit", "2", "--status", "succeeded"])).out.trim().split("\n");
    expect([rows.length, rows[0]]).toEqual([2, row]);
    expect((await hub(["cancel", id])).err).toMatch(/^gpt-image-hub: notCancelable: .* \(req_\w+\)\n$/);
    expect((await hub(["delete", id])).out).toBe("");
    expect((await hub(["get", id])).err).toMatch(/^gpt-image-hub: notFound: /);
    expect((await hub(["models"])).out).toMatch(/^gpt-image-2\tGPT IMAGE 2\t1K 8, 2K 10, 4K 12 credits\t$/m);
    expect((await hub(["credits"])).out).toMatch(/^\d+ credits\n$/);
    const estimate = await hub(["three ships", "-n", "3", "--estimate"]);
    expect(estimate.out).toMatch(/^24 credits\t\d+ left\t3 x \w+\n$/);
    const [usage] = (await hub(["usage"])).out.split("\n");
    expect(usage).toMatch(/^20\S+\tkey_\w+\tgpt-image-2\t\d+ generations\t\d+ images\t\d+ credits$/);
    expect(JSON.parse((await hub(["credits", "--json"])).out)).toMatchObject({ object: "credit_balance" });
  });

  it("stores a key for one service, for its owner only", async () => {
    const XDG_CONFIG_HOME = join(folder, "config");
    const file = join(XDG_CONFIG_HOME, "gpt-image-hub/settings.json");
    const without = { XDG_CONFIG_HOME, GIH_KEY: undefined, GIH_URL: undefined };
    expect((await hub(["credits"], without)).code).toBe(2);
    expect((await hub(["login", "--url", service.origin], without, "gih_live_wrong\n")).code).toBe(3);
    const stored = await hub(["login", "--url", service.origin], without, `${key}\n`);
    expect(stored.out).toMatch(/^Stored in .*settings\.json\. The balance is \d+ credits\.\n$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    chmodSync(file, 0o644);
    await hub(["login", "--url", service.origin], without, `${key}\n`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await hub(["credits"], without)).code).toBe(0);
    const elsewhere = await hub(["credits", "--url", "http://127.0.0.1:9"], without);
    expect([elsewhere.code, elsewhere.err]).toEqual([2, expect.stringMatching(/No API key for http/)]);
  });

  it.each([
    [[], 2, /A prompt or a command is needed/],
    [["a", "lighthouse"], 2, /Give one prompt, in quotes/],
    [["a", "--colour", "red"], 2, /colour/],
    [["a", "-n", "0"], 2, /-n must be a whole number from 1 on/],
    [["a", "-s", "1x1"], 2, /invalid_request: size: /],
    [["a", "--ref", "missing.png"], 2, /missing\.png cannot be read/],
    [["credits", "--url", "hub.example.org"], 2, /baseUrl must begin with https/],
    [["get", "gen_none"], 1, /notFound: /],
  ])("%j exits with %i", async (args, code, message) => {
    const outcome = await hub(args);
    expect([outcome.code, outcome.out, outcome.err]).toEqual([code, "", expect.stringMatching(message)]);
  });

  it.each([
    [401, "invalidApiKey", 3],
    [403, "forbidden", 3],
    [402, "insufficientCredits", 4],
    [402, "keyLimitExceeded", 4],
    [400, "contentPolicyViolation", 5],
    [429, "rateLimited", 6],
    [503, "serviceUnavailable", 6],
    [500, "internalError", 1],
  ])("an answer with %i %s exits with %i", async (status, code, exit) => {
    const headers = { "Retry-After": "0" };
    const body = { error: { code, message: "no", param: null, request_id: "req_1" } };
    const respond = async () => Response.json(body, { status, headers });
    const client = createClient({ apiKey: key, baseUrl: service.origin, fetch: respond });
    const error: unknown = await client.credits().catch((reason: unknown) => reason);
    const { signal } = new AbortController();
    expect([exitCodeOf(error, signal), explain(error, signal)]).toEqual([exit, `${code}: no (req_1)`]);
    expect(exitCodeOf(error, AbortSignal.abort())).toBe(130);
  });

  it("shows images where the terminal can", () => {
    const bytes = new Uint8Array(6000);
    const ESC = "\u001b";
    const none = { IMAGE_PROVIDER: "" };
    expect(previewOf(bytes, "image/png", { ...none, TERM: "xterm-kitty" })).toBe(
      `${ESC}_Gf=100,a=T,c=40,m=1;${"A".repeat(4096)}${ESC}\\${ESC}_Gm=0;${"A".repeat(3904)}${ESC}\\\n`,
    );
    expect(previewOf(bytes, "image/jpeg", { ...none, TERM_PROGRAM: "iTerm.app" })).toBe(
      `${ESC}]1337;File=inline=1;width=40;size=6000:${"A".repeat(8000)}\u0007\n`,
    );
    expect(previewOf(bytes, "image/png", { ...none, TERM: "xterm-256color" })).toBeNull();
  });
});
