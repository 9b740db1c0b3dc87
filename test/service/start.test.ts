import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { isInstalled, root } from "../../scripts/lib.mjs";
import { numberOf } from "../../scripts/service/api.mjs";

const call = promisify(execFile);

/** A script as a person runs it: in some directory, with some environment, its output as it grows. */
class Script {
  readonly process: ChildProcess;
  readonly exit: Promise<number | null>;
  output = "";
  errors = "";

  constructor(name: string, args: string[], environment: Record<string, string>) {
    this.process = spawn(process.execPath, [join(root, "scripts", name), ...args], {
      cwd: here,
      env: { ...process.env, INIT_CWD: here, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.on("data", (text) => {
      this.output += text;
    });
    this.process.stderr?.on("data", (text) => {
      this.errors += text;
    });
    this.exit = new Promise((resolve) => this.process.on("close", resolve));
  }

  async ready() {
    await vi.waitUntil(() => /^Ready on .*\n/m.test(this.output) || this.process.exitCode !== null, {
      timeout: 60_000,
      interval: 20,
    });
    expect(this.errors).toBe("");
    // Then only log lines may follow, one of which can still be that of the demo account's request.
    expect(this.output).toMatch(new RegExp(`\nReady on http://127.0.0.1:${port}\\b.*\n(\\{.*\n)*$`));
    return this;
  }

  get key() {
    return /gih_live_\w+/.exec(this.output)?.[0] ?? "";
  }

  get credits() {
    return Number(/Balance +(\d+)/.exec(this.output)?.[1]);
  }

  /** The process ids of everything that was started below this script. */
  async descendants() {
    const { stdout } = await call("ps", ["-A", "-o", "pid=,ppid="]);
    const pairs = stdout
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/ +/).map(Number));
    const found = new Set([this.process.pid]);
    for (const parent of found) {
      for (const [pid, parentId] of pairs) if (parentId === parent) found.add(pid);
    }
    found.delete(this.process.pid);
    return [...found].filter((pid) => pid !== undefined);
  }

  async stop() {
    this.process.kill("SIGTERM");
    return await this.exit;
  }
}

let here: string;
let state: string;
let port: number;
let first: Script;
/** Started after the first was stopped. */
let second: Script;
const scripts: Script[] = [];

function run(name: string, args: string[] = [], environment: Record<string, string> = {}) {
  const script = new Script(name, args, { PORT: String(port), STATE_DIR: state, ...environment });
  scripts.push(script);
  return script;
}

const start = (environment: Record<string, string> = {}) => run("start.mjs", [], environment);
const demo = (...args: string[]) => run("demo.mjs", args);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("The probe has no port.");
  return address.port;
}

/** The processes that still run, without zombies. */
async function alive(pids: number[]) {
  const { stdout } = await call("ps", ["-A", "-o", "pid=,stat="]);
  const running = stdout
    .trim()
    .split("\n")
    .filter((line) => !/ Z\S*$/.test(line))
    .map(Number.parseFloat);
  return pids.filter((pid) => running.includes(pid));
}

async function api(path: string, bearer: string, body?: unknown) {
  const headers = { authorization: `Bearer ${bearer}`, "content-type": "application/json" };
  const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  return await fetch(`http://127.0.0.1:${port}${path}`, init);
}

beforeAll(async () => {
  // Otherwise a start would install them while tests are running.
  if (!isInstalled()) throw new Error("Run the tests with npm test, which installs the dependencies first.");
  here = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  state = join(here, "state");
  port = await freePort();
  first = await start().ready();
});

afterAll(async () => {
  await Promise.all(scripts.map((script) => script.stop()));
  rmSync(here, { recursive: true, force: true });
});

describe("a running start", () => {
  it("prints a curl command that works, and returns an image", async () => {
    const line = first.output.split("\n").find((text) => text.startsWith("curl ")) ?? "";
    const { stdout } = await call("sh", ["-c", line]);
    const generation = JSON.parse(stdout);
    expect(generation).toMatchObject({
      object: "image_generation",
      status: "succeeded",
      usage: { credits: 8 },
    });
    const image = await fetch(generation.images[0].url);
    expect([image.status, image.headers.get("content-type")]).toEqual([200, "image/png"]);
  });

  it("prints a test key, which generates without a charge", async () => {
    const [, key = ""] = /Test key +(gih_test_\w{32})\n/.exec(first.output) ?? [];
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const body = JSON.stringify({ model: "gpt-image-2", prompt: "a hill" });
    const url = `http://127.0.0.1:${port}/api/v1/images/generations`;
    const response = await fetch(url, { method: "POST", headers, body });
    expect(await response.json()).toMatchObject({ livemode: false, usage: { credits: 0 } });
  });

  it("lets one sign in as the demo account with what it printed", async () => {
    const [, email = "", password = ""] = /Sign in +(\S+), password (\S+)/.exec(first.output) ?? [];
    const origin = `http://127.0.0.1:${port}`;
    const signedIn = await fetch(`${origin}/sign-in`, {
      method: "POST",
      headers: { origin },
      body: new URLSearchParams({ email, password }),
      redirect: "manual",
    });
    expect([signedIn.status, signedIn.headers.get("location")]).toEqual([303, "/account"]);
    const [session = ""] = signedIn.headers.getSetCookie();
    const page = await fetch(`${origin}/account/keys`, { headers: { cookie: session.split(";", 1).join() } });
    expect(await page.text()).toContain(`gih_live_…${first.key.slice(-4)}`);
  });

  it("keeps its secrets to their owner and off every command line", async () => {
    const secrets = [
      "admin-token",
      "auth-secret",
      "demo-key",
      "demo-test-key",
      "demo-password",
      "worker.env",
    ];
    expect(secrets.map((file) => (statSync(join(state, file)).mode & 0o777).toString(8))).toEqual(
      secrets.map(() => "600"),
    );
    const { stdout } = await call("ps", ["-A", "-o", "args="], { maxBuffer: 64 * 1024 * 1024 });
    expect(stdout).toContain(state);
    expect(stdout).not.toContain(readFileSync(join(state, "admin-token"), "utf8"));
  });

  it.each([
    [
      "its port",
      () => ({ STATE_DIR: join(here, "other") }),
      () => `Port ${port} is in use. Choose another: PORT=${port + 1} npm start\n`,
    ],
    [
      "its state",
      async () => ({ PORT: String(await freePort()) }),
      () =>
        `${state} is in use by process ${first.process.pid}. Stop it, or choose another directory: STATE_DIR=…\n`,
    ],
  ])("does not let a second start use %s", async (_, environment, message) => {
    const second = start(await environment());
    expect([await second.exit, second.output, second.errors]).toEqual([1, "", message()]);
  });

  it("serves the demo, which saves each image as a new file", async () => {
    const once = demo("A Lighthouse,", "at dusk!");
    expect([await once.exit, once.errors]).toEqual([0, expect.stringMatching(/^(queued|processing)\n/)]);
    expect(once.output).toMatch(/\/a-lighthouse-at-dusk\.png\n\d+×\d+, 8 credits, \d+ left\n$/);
    const again = demo("a lighthouse at dusk");
    expect(await again.exit).toBe(0);
    const images = readdirSync(here).filter((name) => name.endsWith(".png"));
    expect(images.sort()).toEqual(["a-lighthouse-at-dusk-2.png", "a-lighthouse-at-dusk.png"]);
    expect(readFileSync(join(here, "a-lighthouse-at-dusk.png")).subarray(1, 4).toString()).toBe("PNG");
  });

  it.each([
    ["no prompt", [], /^Usage: npm run demo/],
    ["an invalid size", ["a lighthouse", "--size", "1x1"], /^[^\n]*size[^\n]*\n$/i],
  ])("shows one message for a demo with %s", async (_, args, message) => {
    const refused = demo(...args);
    expect(await refused.exit).toBe(1);
    expect(refused.errors).toMatch(message);
  });
});

describe("a stop", () => {
  it("ends every process, and keeps the key and balance for the next start", async () => {
    const below = await first.descendants();
    expect(below.length).toBeGreaterThan(2);
    const balance = numberOf(await (await api("/api/v1/credits", first.key)).json(), "credits");
    expect(await first.stop()).toBe(0);
    expect(await alive(below)).toEqual([]);
    expect(readdirSync(state)).not.toContain("worker.env");

    second = await start().ready();
    expect([second.key, second.credits]).toEqual([first.key, balance]);
    expect(second.credits).toBeLessThan(1000);
  });

  it("by SIGKILL leaves no process", async () => {
    const below = await second.descendants();
    second.process.kill("SIGKILL");
    await vi.waitUntil(async () => (await alive(below)).length === 0, { timeout: 10_000 });
  });

  it("that left a zombie does not block the state for the next start", async () => {
    const parent = spawn("sh", ["-c", "sleep 0.3 & echo $!; exec sleep 60"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const [pid] = await once(parent.stdout, "data");
      const stat = () => readFileSync(`/proc/${Number(pid)}/stat`, "utf8").split(" ");
      await vi.waitUntil(() => stat()[2] === "Z", { timeout: 10_000 });
      writeFileSync(join(state, "lock"), `${Number(pid)} ${stat()[21]}`);
      const next = await start().ready();
      expect(await next.stop()).toBe(0);
    } finally {
      parent.kill();
    }
  });
});

describe("the demo account", () => {
  it("gets a new key, but no second grant, when the key was lost", async () => {
    rmSync(join(state, "demo-key"));
    const script = await start().ready();
    expect(script.key).not.toBe(first.key);
    expect(script.credits).toBeLessThan(1000);
    await script.stop();
  });

  it("is created again when the database was lost, with the variables of the environment", async () => {
    rmSync(join(state, "v3"), { recursive: true });
    const token = "quote ' dollar $HOME hash # the end";
    const script = await start({ ADMIN_TOKEN: token, IMAGE_PROVIDER: "openai" }).ready();
    expect(script.credits).toBe(1000);
    expect((await api("/api/admin/users?email=demo@example.com", token)).status).toBe(200);
    const body = { model: "gpt-image-2", prompt: "a lighthouse at dusk" };
    expect((await api("/api/v1/images/generations", script.key, body)).status).toBe(503);
    await script.stop();
  });

  it("is created by a demo without a running service, which stops it again", async () => {
    const script = demo("a harbour");
    expect(await script.exit).toBe(0);
    expect(readdirSync(here)).toContain("a-harbour.png");
    await expect(api("/api/v1/models", "")).rejects.toThrow();
  });
});
