import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { root } from "../../scripts/lib.mjs";
import { type RunningService, startService } from "../support/service.ts";

/** The operator's commands: `npm run deploy` with a stand-in for wrangler, and `npm run ops`, on a running service. */

const ADMIN_TOKEN = "an operator's token of 32 characters";
const AUTH_SECRET = "a secret that signs the sessions!";
const SECRETS = { ADMIN_TOKEN, AUTH_SECRET };
const QUEUES = ["", "-2", "-3", "-4", "-dead"].map((end) => `gpt-image-hub-generations${end}`);
const NOTHING = {
  ...{ loggedIn: true, deployed: false, d1: [], buckets: [], queues: [], secrets: [], migrated: [] },
  ...{ rules: {}, calls: [] },
};
const COMPLETE = {
  ...{ d1: ["gpt-image-hub", "gpt-image-hub-log"], queues: QUEUES, migrated: ["DB", "LOG"], deployed: true },
  buckets: ["gpt-image-hub-images", "gpt-image-hub-references", "gpt-image-hub-backups"],
  rules: {
    "gpt-image-hub-images": ["abort-uploads"],
    "gpt-image-hub-references": ["expire", "abort-uploads"],
    "gpt-image-hub-backups": ["expire", "abort-uploads"],
  },
};

let service: RunningService;
let directory: string;
let file: string;

beforeAll(async () => {
  service = await startService({ ADMIN_TOKEN });
});

afterAll(async () => {
  await service.stop();
});

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  file = join(directory, "account.json");
});

afterEach(() => rmSync(directory, { recursive: true }));

const accountOf = () => JSON.parse(readFileSync(file, "utf8"));

async function deploy(account: object, settings: Record<string, string> = {}, ...args: string[]) {
  writeFileSync(file, JSON.stringify({ ...NOTHING, ...account }));
  const wranglerSettings = {
    WRANGLER_ACCOUNT: file,
    WRANGLER: join(root, "test/support/wrangler-double.mjs"),
  };
  return await script("deploy.mjs", { ...wranglerSettings, PUBLIC_BASE_URL: service.origin, ...settings }, [
    "--no-checks",
    ...args,
  ]);
}

const ops = (...args: string[]) => script("ops.mjs", { GIH_URL: service.origin, ADMIN_TOKEN }, args);

/** Runs a script to its end, in an environment of its own. */
async function script(name: string, settings: Record<string, string>, args: string[]) {
  const child = spawn(process.execPath, [join(root, "scripts", name), ...args], {
    env: { IMAGE_PROVIDER: "", PATH: process.env["PATH"], HOME: directory, ...settings },
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

async function operate(path: string): Promise<{ data: { id: string }[] }> {
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
  return await (await fetch(`${service.origin}/api/admin${path}`, { headers })).json();
}

describe("npm run deploy", () => {
  it("creates what is missing, and tests the deployment with a key that it revokes", async () => {
    const { code, output } = await deploy({}, SECRETS);
    expect([code, output]).toEqual([0, expect.stringContaining("a test image of")]);
    expect(output).toContain("6 models; a test image of");
    expect(output).not.toContain(ADMIN_TOKEN);
    expect(accountOf()).toMatchObject({ ...COMPLETE, secrets: ["ADMIN_TOKEN", "AUTH_SECRET"] });
    const { data: users } = await operate("/users?email=smoke-test%40example.com");
    expect(users).toHaveLength(1);
    const { data: keys } = await operate(`/users/${users[0]?.id}/api_keys`);
    expect(keys).toMatchObject([{ mode: "test", revoked_at: expect.any(String) }]);
  });

  it("changes nothing that is there, when it is repeated", async () => {
    const { code, output } = await deploy({ ...COMPLETE, secrets: Object.keys(SECRETS) });
    expect([code, output]).toEqual([0, expect.stringContaining("Set ADMIN_TOKEN or GIH_TEST_KEY")]);
    expect(accountOf().calls.filter((call: string) => /create|add|bulk/.test(call))).toEqual([]);
    expect(accountOf()).toMatchObject({ buckets: COMPLETE.buckets, rules: COMPLETE.rules });
  });

  it("creates only what is missing, after a step that failed", async () => {
    const failed = await deploy({ fails: "queues create gpt-image-hub-generations-3" }, SECRETS);
    expect([failed.code, failed.output]).toEqual([1, expect.stringContaining("code: 10000")]);
    expect(accountOf()).toMatchObject({ queues: QUEUES.slice(0, 2), deployed: false });
    const { code } = await deploy({ ...accountOf(), fails: null }, SECRETS);
    expect(code).toBe(0);
    expect(accountOf()).toMatchObject(COMPLETE);
  });

  it.each<[what: string, account: object, settings: Record<string, string>, message: string]>([
    ["a login", { loggedIn: false }, SECRETS, "wrangler is not logged in."],
    ["a secret", {}, { ADMIN_TOKEN }, "The secret AUTH_SECRET is missing."],
    ["a long secret", {}, { ...SECRETS, ADMIN_TOKEN: "x".repeat(31) }, "ADMIN_TOKEN has 31 characters."],
    ["the address", {}, { ...SECRETS, PUBLIC_BASE_URL: "hub.example.com" }, "Set PUBLIC_BASE_URL in"],
  ])("stops before it deploys without %s", async (_, account, settings, message) => {
    const { code, output } = await deploy(account, settings);
    expect([code, output]).toEqual([1, expect.stringContaining(message)]);
    expect(accountOf()).toMatchObject({ deployed: false, migrated: [], secrets: [] });
  });

  it("does not deploy when a migration fails", async () => {
    const { code } = await deploy({ fails: "d1 migrations apply LOG" }, SECRETS);
    expect(code).toBe(1);
    expect(accountOf()).toMatchObject({ deployed: false, migrated: ["DB"] });
  });

  it("prints its plan, and calls nothing, with --dry-run", async () => {
    const { code, output } = await deploy({}, {}, "--dry-run");
    expect([code, output]).toEqual([0, expect.stringContaining("Dry run: nothing was changed.")]);
    expect(output).toContain("would create those missing of gpt-image-hub, gpt-image-hub-log.");
    expect(accountOf().calls).toEqual(["deploy"]);
  });

  it("refuses an environment that wrangler.toml does not have", async () => {
    const { code, output } = await deploy({}, SECRETS, "--env", "nowhere");
    expect([code, output]).toEqual([1, "wrangler.toml has no [env.nowhere].\n"]);
  });
});

describe("npm run ops", () => {
  const json = async (...args: string[]) => {
    const { code, output } = await ops(...args, "--json");
    expect([code, output]).toEqual([0, expect.stringMatching(/^\{/)]);
    return JSON.parse(output);
  };

  it("creates a user, grants credits once for an id, and issues and revokes a key", async () => {
    const user = await json("user", "create", "ada@example.com", "--name", "Ada");
    const grant = ["grant", "ada@example.com", "500", "--id", "invoice-1"];
    expect((await json(...grant)).balance.credits).toBe(500);
    expect((await json(...grant)).balance.credits).toBe(500);
    const key = await json("key", "issue", user.id, "production");
    const credits = () =>
      fetch(`${service.origin}/api/v1/credits`, { headers: { Authorization: `Bearer ${key.api_key}` } });
    expect((await credits()).status).toBe(200);
    expect(await ops("key", "revoke", key.id)).toMatchObject({ code: 2 });
    expect((await credits()).status).toBe(200);
    expect(await ops("key", "revoke", key.id, "--yes")).toEqual({ code: 0, output: "Done.\n" });
    expect((await credits()).status).toBe(401);
  });

  it("prints fields and tables for people", async () => {
    const { code, output } = await ops("providers");
    expect([code, output]).toEqual([0, expect.stringMatching(/^name +state +operator/)]);
    expect(output).toMatch(/^openai +closed +auto/m);
  });

  it("prints a generation in indented rows, and shows control characters of its user", async () => {
    const user = await json("user", "create", "grace@example.com");
    await json("grant", user.id, "100", "--id", "invoice-2");
    const { api_key: key } = await json("key", "issue", user.id, "production");
    const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
    const made = await fetch(`${service.origin}/api/v1/images/generations`, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ ...asked, metadata: { order: "7\n\u009b2J" } }),
    });
    const { id }: { id: string } = await made.json();
    const { code, output } = await ops("generation", "show", user.id, id);
    expect([code, output]).toEqual([0, expect.stringContaining(`user_id  ${user.id}\n\ngeneration\n`)]);
    expect(output).toMatch(new RegExp(`^  id +${id}$`, "m"));
    expect(output).toMatch(/^ {2}metadata\n {4}order {2}7\\u000a\\u009b2J$/m);
    expect(output).toMatch(/^ {2}images\n {4}id +url +created_at +width +height/m);
    expect(output).toMatch(/^account\n {2}mode +sync$/m);
    expect(output).toMatch(/^ {2}allocations\n {4}grant_id +credits\n {4}invoice-2 +8$/m);
    expect(output).toMatch(/^deliveries\n {2}none$/m);
    expect(output).not.toMatch(/[{}"]/);
  });

  it("reconciles all accounts", async () => {
    expect(await json("reconcile")).toMatchObject({ differences: [], repaired: 0 });
  });

  it.each<[what: string, args: string[], code: number, message: string]>([
    ["an unknown command", ["user", "eat"], 2, "Usage: npm run ops -- COMMAND"],
    ["a missing argument", ["grant", "ada@example.com"], 2, "Usage: npm run ops -- grant USER CREDITS"],
    ["an unknown option", ["providers", "--wide"], 2, "Unknown option '--wide'"],
    ["an unknown user", ["key", "list", "nobody@example.com"], 1, "There is no user with the address"],
    ["an unknown key", ["key", "revoke", "key_none", "--yes"], 1, "404: "],
    ["credits that are no number", ["grant", "ada@example.com", "much"], 1, "400: credits"],
  ])("refuses %s", async (_, args, code, message) => {
    expect(await ops(...args)).toEqual({ code, output: expect.stringContaining(message) });
  });

  it("says that the service cannot be reached, or that the token is wrong", async () => {
    const away = await script("ops.mjs", { GIH_URL: "http://127.0.0.1:1", ADMIN_TOKEN }, ["providers"]);
    expect(away).toEqual({
      code: 1,
      output: expect.stringContaining("http://127.0.0.1:1 cannot be reached"),
    });
    const wrong = await script("ops.mjs", { GIH_URL: service.origin, ADMIN_TOKEN: "x".repeat(32) }, [
      "providers",
    ]);
    expect(wrong).toEqual({ code: 1, output: expect.stringMatching(/^401: /) });
  });
});
