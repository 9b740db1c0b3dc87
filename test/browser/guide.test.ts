import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { root } from "../../scripts/lib.mjs";
import { callApi } from "../../scripts/service/api.mjs";
import { openPage } from "./look.ts";

/** Runs the code samples of the pages unchanged, except for the ids of generations. */

const site = inject("site");
const key = inject("key");
const testKey = inject("testKey");
const run = promisify(execFile);
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
const PLACEHOLDER_ID = /gen_01M4QK\w+/g;
const PLACEHOLDER_IMAGE = /http\S+\/images\/gen_01M4QK\S+/;
const CLIENT = join(root, "clients/typescript/src");

/** A code sample in a section of a page. */
type Example = { section: string; language: string; text: string };

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-guide-"));
  const packages = join(directory, "node_modules");
  mkdirSync(join(packages, "gpt-image-hub"), { recursive: true });
  writeFileSync(
    join(packages, "gpt-image-hub/package.json"),
    '{ "type": "module", "exports": "./src/index.ts" }',
  );
  symlinkSync(CLIENT, join(packages, "gpt-image-hub/src"));
  symlinkSync(join(root, "node_modules/openai"), join(packages, "openai"));
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function examplesOf(path: string): Promise<Example[]> {
  const page = await (await fetch(site + path)).text();
  return page
    .split(/<section[^>]* aria-labelledby="/)
    .slice(1)
    .flatMap((html) => {
      const section = html.slice(0, html.indexOf('"'));
      const samples = html.matchAll(
        /(?:data-language="(\w+)"><div class="code">.*?)?<pre[^>]*><code[^>]*>(.*?)<\/code>/gs,
      );
      return [...samples].map(([, language = "", text = ""]) => {
        return {
          section,
          language,
          text: text.replace(/&(#?\w+);/g, (_, name: string) => ENTITIES[name] ?? "?"),
        };
      });
    });
}

/** Runs a program as a reader does who set the variables of the guide. */
async function execute(program: string, args: string[], variables: Record<string, string> = {}) {
  const env = { ...process.env, GIH_KEY: key, GIH_TEST_KEY: testKey, ...variables };
  return (await run(program, args, { cwd: directory, env })).stdout;
}

const bash = (command: string) => execute("bash", ["-c", command.replace(/^curl /, "curl -sS ")]);
const shell = async (command: string): Promise<unknown> => JSON.parse(await bash(command));
const python = (program: string) => execute("python3", ["-c", program]);

async function node(program: string, variables?: Record<string, string>) {
  writeFileSync(join(directory, "example.mjs"), program);
  return await execute(process.execPath, ["example.mjs"], variables);
}

/** Replaces the values that differ between generations and accounts. */
function masked(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value)
      .replace(/(gen|img|req)_[0-9A-Z]{26}/g, "$1_…")
      .replace(/"[-\d]{10}T[:.\d]{12}Z"/g, '"a time"')
      .replace(/"next_expiration":"a time"/g, '"next_expiration":null')
      .replace(/"bytes":\d+/g, '"bytes":"some"')
      .replace(/"balance":\{"credits":\d+,"account_type":"\w+"/g, '"balance":{"some":"credits"')
      .replace(/(credit_balance","credits":)\d+,"account_type":"\w+"/g, '$1"some"'),
  );
}

describe.each(["/docs", "/tr/docs"])("the examples of %s", (path) => {
  let examples: Example[];
  let made: { id: string; images: { url: string }[] };
  const taken = new Set<Example>();

  /** The samples of a section: those of all languages, or of one. */
  function take(section: string, language?: string): string[] {
    const found = examples.filter(
      (example) => example.section === section && (language ?? example.language) === example.language,
    );
    expect(found.length, `${section} ${language}`).toBeGreaterThan(0);
    for (const example of found) taken.add(example);
    return found.map(({ text }) => text);
  }

  const ofMade = (text: string) => text.replace(PLACEHOLDER_ID, made.id);

  beforeAll(async () => {
    examples = await examplesOf(path);
    const [first = ""] = take("start", "curl");
    made = JSON.parse(await bash(first));
    const image = await fetch(made.images[0]?.url ?? "");
    writeFileSync(join(directory, "cup.png"), Buffer.from(await image.arrayBuffer()));
  });

  it("generate an image in three languages, with the response in the guide", async () => {
    const [variable, , javascript = "", inPython = ""] = take("start");
    expect(variable).toBe("export GIH_KEY=gih_live_…");
    expect(await node(javascript)).toContain(`${site}/images/gen_`);
    expect(await python(inPython)).toContain(`${site}/images/gen_`);
    const [answer = "", save = ""] = take("generate");
    expect(masked(made)).toEqual(masked(JSON.parse(answer)));
    await bash(save.replace(PLACEHOLDER_IMAGE, made.images[0]?.url ?? ""));
    expect(existsSync(join(directory, "lighthouse.png"))).toBe(true);
  });

  it("show the header with the key", () => {
    expect(take("authentication")).toEqual([`Authorization: Bearer gih_live_${"x".repeat(32)}`]);
  });

  it("list the models", async () => {
    const [command = ""] = take("models");
    const data = expect.arrayContaining([expect.objectContaining({ id: "gpt-image-2" })]);
    expect(await shell(command)).toMatchObject({ object: "list", data });
  });

  it("generate an image from a reference", async () => {
    const [command = ""] = take("references");
    expect(await shell(command)).toMatchObject({ status: "succeeded", images: [{ width: 1024 }] });
  });

  it("send an async request, with the response in the guide, and wait in every way", async () => {
    const [request = "", answer = "", waiting = "", poll = "", javascript = "", inPython = "", events = ""] =
      take("async");
    expect(masked(await shell(request))).toEqual(masked(JSON.parse(answer)));
    expect(await shell(waiting)).toMatchObject({ status: "succeeded" });
    expect(await shell(ofMade(poll))).toMatchObject({ id: made.id, status: "succeeded" });
    for (const output of [await node(ofMade(javascript)), await python(ofMade(inPython))]) {
      expect(output).toContain("succeeded");
      expect(output).toContain(made.images[0]?.url);
    }
    expect(await bash(ofMade(events))).toMatch(/^event: generation$[\s\S]*"status":"succeeded"/m);
  });

  it("send a webhook, and verify it", async () => {
    const [request = "", reading = "", receiver = ""] = take("webhooks");
    const unreachable = request.replace("example.com", "webhooks.invalid");
    expect(await shell(unreachable)).toMatchObject({ status: "queued" });
    const { secret } = JSON.parse(await bash(reading));
    const at = new Date();
    const body = JSON.stringify({ type: "image_generation.succeeded", data: made });
    const headers = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign("msg_1", at, body),
    };
    const call = `
const { body, headers } = JSON.parse(process.env.RECEIVED);
const response = await POST(new Request("http://127.0.0.1", { method: "POST", headers, body }));
console.log(response.status);`;
    const receive = (received: object) =>
      node(receiver + call, { GIH_WEBHOOK_SECRET: secret, RECEIVED: JSON.stringify(received) });
    expect(await receive({ body, headers })).toMatch(new RegExp(`${made.id} succeeded\n204`));
    await expect(receive({ body: `${body} `, headers })).rejects.toThrow("no valid signature");
  });

  it("retrieve a generation", async () => {
    const [command = ""] = take("read");
    expect(await shell(ofMade(command))).toMatchObject({ id: made.id, status: "succeeded" });
  });

  it("list generations: those with a label, and all", async () => {
    const [command = "", javascript = "", inPython = ""] = take("list");
    const metadata = { project: "website" };
    const request = { model: "gpt-image-2", prompt: "a ship", metadata };
    expect((await callApi(`${site}/api/v1/images/generations`, key, request)).status).toBe(200);
    const labelled = expect.objectContaining({ metadata });
    expect(await shell(command)).toMatchObject({ object: "list", data: expect.arrayContaining([labelled]) });
    expect(await bash(command)).not.toContain(made.id);
    expect(await node(javascript)).toContain(made.id);
    expect(await python(inPython)).toContain(made.id);
  });

  it("repeat a request without a second charge", async () => {
    const [command = ""] = take("idempotency");
    const first = await bash(command);
    const second = await bash(command);
    expect(second).toMatch(/^idempotent-replayed: true/im);
    const idOf = (output: string) => /gen_\w+/.exec(output)?.[0];
    expect(idOf(first)).toBeDefined();
    expect(idOf(second)).toBe(idOf(first));
    expect(await bash(command.replace("dusk", "dawn"))).toContain("idempotencyMismatch");
  });

  it("read the balance, with the response in the guide", async () => {
    const [command = "", answer = ""] = take("credits");
    expect(masked(await shell(command))).toEqual(masked(JSON.parse(answer)));
  });

  it("estimate a price, with the response in the guide", async () => {
    const [command = "", answer = ""] = take("cost");
    expect(masked(await shell(command))).toEqual(masked(JSON.parse(answer)));
  });

  it("generate an image with OpenAI's libraries", async () => {
    const [inPython = "", javascript = ""] = take("openai");
    expect(await node(javascript)).toContain(`${site}/images/gen_`);
    // Its library for Python is not installed here: `npm run clients` runs it.
    await execute("python3", ["-c", "import ast, sys; ast.parse(sys.argv[1])", inPython]);
  });

  it("generate an image with the client and the command line", async () => {
    const [program = "", commands = ""] = take("client");
    expect(await node(program)).toMatch(/succeeded\n$/);
    rmSync(join(directory, "lighthouse.png"));
    const command = `"${process.execPath}" "${join(CLIENT, "cli/index.ts")}"`;
    await bash(`set -e\n${commands.replaceAll("npx gpt-image-hub", command)}`);
    expect(existsSync(join(directory, "lighthouse.png"))).toBe(true);
  });

  it("script the outcome with a test key", async () => {
    const [command = ""] = take("test-keys");
    expect(await shell(command)).toMatchObject({
      ...{ livemode: false, status: "succeeded", images: [{}, {}] },
      usage: { credits: 0 },
    });
  });

  it("show the error of a request without a prompt", async () => {
    const [answer = ""] = take("errors");
    const { status, body } = await callApi(`${site}/api/v1/images/generations`, key, {
      model: "gpt-image-2",
    });
    expect([status, masked(body)]).toEqual([400, masked(JSON.parse(answer))]);
  });

  it("retry, in three languages", async () => {
    const [command = "", javascript = "", inPython = ""] = take("retries");
    expect(await shell(command)).toMatchObject({ status: "succeeded" });
    expect(await node(javascript)).toContain(`${site}/images/gen_`);
    expect(await python(inPython)).toContain(`${site}/images/gen_`);
    await expect(node(javascript.replace("a lighthouse at dusk", ""))).rejects.toThrow("prompt must not be");
    await expect(python(inPython.replace("a lighthouse at dusk", ""))).rejects.toThrow("invalid_request");
  });

  it("show the headers of the rate limits", () => {
    expect(take("rate-limits").join()).toMatch(/^RateLimit-Policy: .*\nRateLimit: /);
  });

  it("cancel and delete a generation", async () => {
    const [cancel = "", remove = ""] = take("delete");
    expect(await shell(ofMade(cancel))).toMatchObject({ error: { code: "notCancelable" } });
    expect(await bash(ofMade(remove))).toBe("");
    expect((await fetch(made.images[0]?.url ?? "")).status).toBe(404);
  });

  it("are all tested", () => {
    expect(examples.filter((example) => !taken.has(example))).toEqual([]);
  });
});

it("the example of the landing page generates an image", async () => {
  const [example] = await examplesOf("/");
  expect(await shell(example?.text ?? "")).toMatchObject({ status: "succeeded", images: [{ width: 1536 }] });
});

describe("the language of the samples", () => {
  const chosen = (page: Page) =>
    page
      .locator(".code-tabs :checked")
      .evaluateAll((radios) => radios.map((radio) => radio.getAttribute("value")));
  const tab = (page: Page, group: string, name: string) =>
    page.locator(`.code-tabs:has([name=${group}])`).getByText(name, { exact: true });

  it("is one for the whole page, stays where it is, and is remembered", async () => {
    const browser = await launchBrowser();
    const { page, complaints } = await openPage(await browser.newContext());
    await page.goto(`${site}/docs`);
    expect(await chosen(page)).toEqual(["curl", "curl", "curl", "python", "curl"]);
    const clicked = tab(page, "retry", "JavaScript");
    await clicked.scrollIntoViewIfNeeded();
    const before = await clicked.boundingBox();
    await clicked.click();
    expect(await chosen(page)).toEqual(Array(5).fill("javascript"));
    expect(Math.abs(((await clicked.boundingBox())?.y ?? 0) - (before?.y ?? 0))).toBeLessThan(2);
    expect(await page.locator("#poll-javascript").isVisible()).toBe(true);
    expect(await page.locator("#poll-curl").isVisible()).toBe(false);
    await page.goto(`${site}/tr/docs`);
    await expect.poll(() => chosen(page)).toEqual(Array(5).fill("javascript"));
    expect(complaints).toEqual([]);
    await browser.close();
  });

  it("is chosen for each sample without scripts", async () => {
    const browser = await launchBrowser();
    const { page } = await openPage(await browser.newContext({ javaScriptEnabled: false }));
    await page.goto(`${site}/docs`);
    await tab(page, "poll", "Python").click();
    expect(await page.locator("#poll-python").isVisible()).toBe(true);
    expect(await page.locator("#poll-curl").isVisible()).toBe(false);
    expect(await page.locator("#retry-curl").isVisible()).toBe(true);
    await browser.close();
  });
});
