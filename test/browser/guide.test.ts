import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { callApi } from "../../scripts/service/api.mjs";

/** Runs each code sample of the pages unchanged, except for the key. */

const site = inject("site");
const key = inject("key");
const testKey = inject("testKey");
const run = promisify(execFile);
const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'" };
const PLACEHOLDER_ID = /gen_01M4QK\w+/;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-guide-"));
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function examplesOf(path: string): Promise<string[]> {
  const page = await (await fetch(site + path)).text();
  return [...page.matchAll(/<pre[^>]*><code[^>]*>(.*?)<\/code>/gs)].map(([, html = ""]) =>
    html
      .replace(/&(#?\w+);/g, (_, name: string) => ENTITIES[name] ?? "?")
      .replace("YOUR_API_KEY", key)
      .replace("YOUR_TEST_KEY", testKey),
  );
}

async function shell(command: string): Promise<unknown> {
  const { stdout } = await run("bash", ["-c", command.replace(/^curl /, "curl -sS ")], { cwd: directory });
  return JSON.parse(stdout);
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
  let examples: string[];
  let curls: string[];
  let answers: unknown[];
  let made: { id: string; images: { url: string }[] };

  const example = (beginning: string) => examples.find((text) => text.startsWith(beginning)) ?? "";

  beforeAll(async () => {
    examples = await examplesOf(path);
    curls = examples.filter((text) => text.startsWith("curl "));
    answers = examples.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text));
  });

  it("are seven requests with curl, one in JavaScript, one in Python, four responses and a header", () => {
    expect([curls.length, answers.length, examples.length]).toEqual([7, 4, 14]);
  });

  it("generate an image, with the response in the guide", async () => {
    const answer = await shell(curls[0] ?? "");
    expect(masked(answer)).toEqual(masked(answers[0]));
    made = JSON.parse(JSON.stringify(answer));
    const image = await fetch(made.images[0]?.url ?? "");
    writeFileSync(join(directory, "cup.png"), Buffer.from(await image.arrayBuffer()));
  });

  it("list the models", async () => {
    const data = expect.arrayContaining([expect.objectContaining({ id: "gpt-image-2" })]);
    expect(await shell(curls[1] ?? "")).toMatchObject({ object: "list", data });
  });

  it("generate an image with JavaScript", async () => {
    writeFileSync(join(directory, "example.mjs"), example("const "));
    const { stdout } = await run(process.execPath, ["example.mjs"], { cwd: directory });
    expect(stdout).toContain(`${site}/images/gen_`);
  });

  it("generate an image with Python", async () => {
    const { stdout } = await run("python3", ["-c", example("import json")], { cwd: directory });
    expect(stdout).toContain(`${site}/images/gen_`);
  });

  it("generate an image from a reference", async () => {
    expect(await shell(curls[2] ?? "")).toMatchObject({ status: "succeeded", images: [{ width: 1024 }] });
  });

  it("send an async request, with the response in the guide", async () => {
    expect(masked(await shell(curls[3] ?? ""))).toEqual(masked(answers[1]));
  });

  it("retrieve a generation", async () => {
    const answer = await shell((curls[4] ?? "").replace(PLACEHOLDER_ID, made.id));
    expect(answer).toMatchObject({ id: made.id, status: "succeeded" });
  });

  it("read the balance, with the response in the guide", async () => {
    expect(masked(await shell(curls[5] ?? ""))).toEqual(masked(answers[2]));
  });

  it("script the outcome with a test key", async () => {
    expect(await shell(curls[6] ?? "")).toMatchObject({
      ...{ livemode: false, status: "succeeded", images: [{}, {}] },
      usage: { credits: 0 },
    });
  });

  it("show the error of a request without a prompt", async () => {
    const { status, body } = await callApi(`${site}/api/v1/images/generations`, key, {
      model: "gpt-image-2",
    });
    expect([status, masked(body)]).toEqual([400, masked(answers[3])]);
  });
});

it("the example of the landing page generates an image", async () => {
  const [example = ""] = await examplesOf("/");
  expect(await shell(example)).toMatchObject({ status: "succeeded", images: [{ width: 1536 }] });
});
