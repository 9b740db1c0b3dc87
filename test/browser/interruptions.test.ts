import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { createKey, launchBrowser, PASSWORD, signUp } from "../../scripts/browser.mjs";
import { expectAccessible, openPage } from "./look.ts";

/** A failure between the browser and the service must not make a user pay twice. */
const site = inject("site");
const STATE = /\/account\/generations\/gen_\w+\/state$/;
const EVENTS = /\/account\/generations\/gen_\w+\/events$/;
const run = promisify(execFile);
const PLAYGROUND = "/account/playground";

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];
let people = 0;

beforeAll(async () => {
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  ({ page, complaints } = await openPage(context));
  await signUp(page, site, `interrupted${people++}@example.com`);
});

afterEach(async () => {
  // The browser logs every failed request. Errors of scripts are failures.
  expect(complaints.filter((text) => !text.startsWith("Failed to load resource"))).toEqual([]);
  await context.close();
});

const generating = (route: Route) =>
  route.fulfill({ json: { status: "processing", ended: false, message: null, images: [] } });
const busy = (status: number) => (route: Route) =>
  route.fulfill({ status, headers: { "Retry-After": "1" }, body: "busy" });
const cut = (route: Route) => route.abort("connectionreset");

/** Breaks every stream of events, and answers the first polls with these handlers; then the service answers. */
async function scriptPolls(...script: ((route: Route) => Promise<void>)[]) {
  const polls = { count: 0 };
  await page.route(EVENTS, cut);
  await page.route(STATE, async (route) => {
    const answer = script[polls.count++];
    await (answer ? answer(route) : route.continue());
  });
  return polls;
}

const submitButton = () => page.getByRole("button", { name: "Generate" });
const runningLink = () => page.getByRole("link", { name: "Open this generation" });

async function submitPrompt(prompt: string) {
  await page.goto(site + PLAYGROUND);
  await page.getByLabel("Prompt").fill(prompt);
  await submitButton().click();
}

/** The script restores it a moment after the page has loaded. */
async function expectPrompt(text: string) {
  const prompt = page.getByLabel("Prompt");
  await expect.poll(() => prompt.inputValue(), { timeout: 10_000 }).toBe(text);
}

async function expectFact(name: string, value: string) {
  const fact = page.locator(".facts-list > div", { hasText: name });
  expect(await fact.locator("dd").textContent()).toBe(value);
}

async function charges(): Promise<number> {
  await page.goto(`${site}/account/credits`);
  return await page.getByRole("link", { name: "Charge" }).count();
}

describe("the playground", () => {
  it("continues after 503, 429, resets and two seconds offline, and links to the generation", async () => {
    const polls = await scriptPolls(
      generating,
      busy(503),
      busy(429),
      cut,
      generating,
      generating,
      generating,
      generating,
    );
    await submitPrompt("a lighthouse");
    await runningLink().waitFor();
    await page.getByText("No connection. Retrying…").waitFor();
    expect(await submitButton().isDisabled()).toBe(true);
    await expectAccessible(page);
    await page.getByText("Generating").waitFor();
    await context.setOffline(true);
    await page.getByText("No connection. Retrying…").waitFor();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect([await submitButton().isDisabled(), await runningLink().isVisible()]).toEqual([true, true]);
    await context.setOffline(false);
    await page.getByRole("img", { name: "a lighthouse" }).waitFor();
    await page.getByText("192 credits left").waitFor();
    await expect.poll(() => submitButton().isDisabled(), { timeout: 10_000 }).toBe(false);
    expect(polls.count).toBeGreaterThan(4);
    expect(await charges()).toBe(1);
  });

  it("enables the button and keeps the link when it loses track of a generation", async () => {
    await scriptPolls(generating, busy(404));
    await submitPrompt("a lighthouse");
    await page.getByText("Lost track of this generation.").waitFor();
    expect([await submitButton().isDisabled(), await runningLink().isVisible()]).toEqual([false, true]);
  });

  it("keeps the draft and the running generation over a reload", async () => {
    await scriptPolls(generating, generating, generating);
    await submitPrompt("a mill by a stream");
    await page.getByLabel("Aspect ratio").selectOption("16:9");
    await runningLink().waitFor();
    await page.reload();
    await runningLink().waitFor();
    await expectPrompt("a mill by a stream");
    expect(await page.getByLabel("Aspect ratio").inputValue()).toBe("16:9");
    await page.getByRole("img", { name: "a mill by a stream" }).waitFor();
    expect(await charges()).toBe(1);
  });

  it("keeps the draft when the session ends before the form is sent", async () => {
    await page.goto(site + PLAYGROUND);
    await page.getByLabel("Prompt").fill("a long prompt");
    await context.clearCookies();
    await submitButton().click();
    await page.getByLabel("Email").fill(`interrupted${people - 1}@example.com`);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Playground" }).waitFor();
    await expectPrompt("a long prompt");
  });

  it("charges once for a lost answer and for a double click, and twice for two submits", async () => {
    let sends = 0;
    await page.route(`**${PLAYGROUND}`, async (route) => {
      if (route.request().method() !== "POST") return await route.continue();
      sends += 1;
      if (sends > 1) return await route.continue();
      // The request arrives, but its answer is lost.
      await route.fetch();
      await cut(route);
    });
    await submitPrompt("a lighthouse");
    await page.getByRole("img", { name: "a lighthouse" }).waitFor();
    expect(sends).toBe(2);
    await page.getByText("192 credits left").waitFor();
    await submitButton().dblclick();
    await page.getByText("184 credits left").waitFor();
    expect(await charges()).toBe(2);
  });

  it("shows the whole prompt in the code samples, and sends none in a URL", async () => {
    const urls: string[] = [];
    page.on("request", (request) => urls.push(request.url()));
    await page.goto(site + PLAYGROUND);
    const prompt = `it's "${"p".repeat(1_500)}" $& THE END`;
    await page.getByLabel("Prompt").fill(prompt);
    await page.getByLabel("Resolution").selectOption("2K");
    await page.getByText("10 credits for 1 image").waitFor();
    expect(await page.getByRole("link", { name: "Get credits" }).isVisible()).toBe(false);
    const json = JSON.stringify(prompt);
    const sample = (name: string) => page.locator(`#sample-${name}`).textContent();
    expect(await sample("curl")).toContain(json.replaceAll("'", String.raw`'\''`));
    expect(await sample("javascript")).toContain(json);
    expect(await sample("python")).toContain(json);
    expect(await sample("openai")).toContain(json);
    expect(urls.filter((url) => url.includes("/preview")).length).toBeGreaterThan(1);
    expect(urls.filter((url) => /prompt|ppp/i.test(url))).toEqual([]);

    const key = await createKey(page, site, "the samples");
    await page.goto(site + PLAYGROUND);
    await expectPrompt(prompt);
    await page.getByText("10 credits for 1 image").waitFor();
    const code = async (name: string) => (await sample(name)) ?? "";
    const environment = { env: { ...process.env, GIH_KEY: key } };
    await expect.poll(() => sample("python")).toContain(json);
    const outputs = [
      await run("bash", ["-c", (await code("curl")).replace("curl ", "curl -sS ")], environment),
      await run(process.execPath, ["--input-type=module", "-e", await code("javascript")], environment),
      await run("python3", ["-c", await code("python")], environment),
    ];
    for (const { stdout } of outputs) expect(stdout).toMatch(/\/images\/gen_\w+\/img_\w+\.png/);
  });

  it("repeats the same size, and says that references were not kept", async () => {
    const key = await createKey(page, site, "a program");
    const form = new FormData();
    for (const [name, value] of Object.entries({ model: "gpt-image-2", prompt: "a cove", size: "1536x864" }))
      form.append(name, value);
    const file = await fetch(`${site}/assets/pictures/lighthouse.webp`);
    form.append("reference_image", await file.clone().blob(), "a.webp");
    const headers = { authorization: `Bearer ${key}` };
    const made = await fetch(`${site}/api/v1/images/generations`, { method: "POST", headers, body: form });
    expect(made.status).toBe(200);
    await page.goto(`${site}/account/generations`);
    await page.locator(".gallery a").first().click();
    await page.getByRole("link", { name: "Use this prompt again" }).click();
    await page.getByText("The earlier generation used 1 reference image.").waitFor();
    await page.getByText("8 credits for 1 image, 1536 × 864").waitFor();
    await submitButton().click();
    const image = page.getByRole("img", { name: "a cove" });
    await image.waitFor();
    expect(await image.getAttribute("width")).toBe("1536");
    const ids = () => page.locator("[name=references]").inputValue();
    await page.getByRole("link", { name: "Use as reference image 1" }).click();
    await expect.poll(ids, { timeout: 20_000 }).toMatch(/^ref_\w+$/);
    await page
      .locator("#reference-files")
      .setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("not an image") });
    await page.getByText("notes.txt: The file is not a PNG, JPEG or WebP image.").waitFor();
    await page.locator("#reference-files").setInputFiles({
      ...{ name: "a.webp", mimeType: "image/webp" },
      buffer: Buffer.from(await file.clone().arrayBuffer()),
    });
    await expect.poll(ids, { timeout: 20_000 }).toMatch(/^ref_\w+ ref_\w+$/);
    await expectAccessible(page);
    await page.getByRole("button", { name: "Remove Earlier image" }).click();
    await page.getByLabel("Prompt").fill("a cove again");
    await page.keyboard.press("Control+Enter");
    await page.getByRole("img", { name: "a cove again" }).waitFor();
    // The keyboard stays where it was.
    expect(await page.evaluate("document.activeElement.id")).toBe("prompt");
    await expect.poll(() => page.locator("#strip > li").count(), { timeout: 20_000 }).toBe(3);
    await page.getByRole("link", { name: "Receipt and settings" }).click();
    await expectFact("References", "1");
  });
});

describe("the page of a generation", () => {
  it("continues after 503, 429 and two seconds offline", async () => {
    // The generation may end before the page is loaded, so the page is changed to show it as running.
    const held = Promise.withResolvers<void>();
    await page.goto(site + PLAYGROUND);
    await scriptPolls(...Array.from({ length: 40 }, () => generating));
    await page.route(/\/account\/generations\/gen_\w+$/, async (route) => {
      const response = await route.fetch();
      const id = route.request().url().split("/").at(-1);
      const progress = `<div class="progress" data-progress="/account/generations/${id}/state" data-began="${Date.now()}"><p><span class="status">Generating</span> <span data-seconds></span></p><p data-reload hidden>Reload it</p></div><button data-cancel>Cancel</button>`;
      const body = (await response.text())
        .replace('<div class="detail">', `${progress}<div class="detail">`)
        .replace("</head>", '<script type="module" src="/assets/progress.js"></script></head>');
      await route.fulfill({ response, body });
      held.resolve();
    });
    await page.getByLabel("Prompt").fill("a harbour");
    await submitButton().click();
    await runningLink().waitFor();
    await page.unroute(STATE);
    const polls = await scriptPolls(generating, busy(503), busy(429), cut, generating, generating);
    await runningLink().click();
    await held.promise;
    await page.getByText("No connection. Retrying…").waitFor();
    // It is not queued, so it cannot be canceled.
    await page.getByRole("button", { name: "Cancel" }).waitFor({ state: "detached" });
    await context.setOffline(true);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await page.unroute(/\/account\/generations\/gen_\w+$/);
    await context.setOffline(false);
    await page.getByRole("img", { name: "1: a harbour" }).waitFor();
    await page.getByRole("link", { name: "Download image 1" }).waitFor();
    await page.waitForFunction("document.querySelector('[data-progress]') === null");
    expect(polls.count).toBeGreaterThan(5);
  });
});

describe("the page of a new key", () => {
  it("creates no second key when its form is sent again", async () => {
    const key = await createKey(page, site, "prod");
    // Under automation, Chromium sends the form again without asking.
    await page.reload();
    await page.getByRole("heading", { name: "The key “prod” was already created" }).waitFor();
    await expectAccessible(page);
    expect(await page.content()).not.toContain(key);
    await page.getByRole("link", { name: "Go to your keys" }).click();
    expect(await page.locator(".keys > li").count()).toBe(1);
  });
});
