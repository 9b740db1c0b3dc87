import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { createKey, launchBrowser, PASSWORD, signUp } from "../../scripts/browser.mjs";
import { expectAccessible, openPage } from "./look.ts";

/** What goes wrong between a browser and the service must not make anybody pay twice. */
const site = inject("site");
const STATE = /\/account\/generations\/gen_\w+\/state$/;
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
  // A browser tells of each failed request; a script must not fail.
  expect(complaints.filter((text) => !text.startsWith("Failed to load resource"))).toEqual([]);
  await context.close();
});

const drawing = (route: Route) =>
  route.fulfill({ json: { status: "processing", ended: false, message: null, images: [] } });
const busy = (status: number) => (route: Route) =>
  route.fulfill({ status, headers: { "Retry-After": "1" }, body: "busy" });
const cut = (route: Route) => route.abort("connectionreset");

/** Answers looks at a generation from this script, one by one; then the service answers. */
async function scriptLooks(...script: ((route: Route) => Promise<void>)[]) {
  const looks = { count: 0 };
  await page.route(STATE, async (route) => {
    const answer = script[looks.count++];
    await (answer ? answer(route) : route.continue());
  });
  return looks;
}

const makeButton = () => page.getByRole("button", { name: "Make the picture" });
const runningLink = () => page.getByRole("link", { name: "Open this generation" });

async function askFor(prompt: string) {
  await page.goto(site + PLAYGROUND);
  await page.getByLabel("What is the picture to show?").fill(prompt);
  await makeButton().click();
}

/** The script puts it back a moment after the page is there. */
async function expectPrompt(text: string) {
  const prompt = page.getByLabel("What is the picture to show?");
  await expect.poll(() => prompt.inputValue(), { timeout: 10_000 }).toBe(text);
}

async function charges(): Promise<number> {
  await page.goto(`${site}/account/credits`);
  return await page.getByRole("link", { name: "Charge" }).count();
}

describe("the playground", () => {
  it("goes on after 503, 429, resets and two seconds without a network, with a link to the work meanwhile", async () => {
    const looks = await scriptLooks(drawing, busy(503), busy(429), cut, drawing, drawing, drawing, drawing);
    await askFor("a lighthouse");
    await runningLink().waitFor();
    await page.getByText("No connection. Trying again…").waitFor();
    expect(await makeButton().isDisabled()).toBe(true);
    await expectAccessible(page);
    await page.getByText("Drawing").waitFor();
    await context.setOffline(true);
    await page.getByText("No connection. Trying again…").waitFor();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect([await makeButton().isDisabled(), await runningLink().isVisible()]).toEqual([true, true]);
    await context.setOffline(false);
    await page.getByRole("img", { name: "a lighthouse" }).waitFor();
    await page.getByText("192 credits left").waitFor();
    expect(await makeButton().isDisabled()).toBe(false);
    expect(looks.count).toBeGreaterThan(4);
    expect(await charges()).toBe(1);
  });

  it("gives the button back with a link where a generation can no longer be followed", async () => {
    await scriptLooks(drawing, busy(404));
    await askFor("a lighthouse");
    await page.getByText("This page can no longer follow the generation.").waitFor();
    expect([await makeButton().isDisabled(), await runningLink().isVisible()]).toEqual([false, true]);
  });

  it("shows after a reload what was typed and what is running", async () => {
    await scriptLooks(drawing, drawing, drawing);
    await askFor("a mill by a stream");
    await page.getByLabel("Shape").selectOption("16:9");
    await runningLink().waitFor();
    await page.reload();
    await runningLink().waitFor();
    await expectPrompt("a mill by a stream");
    expect(await page.getByLabel("Shape").inputValue()).toBe("16:9");
    await page.getByRole("img", { name: "a mill by a stream" }).waitFor();
    expect(await charges()).toBe(1);
  });

  it("keeps what was typed when the session ends before it is sent", async () => {
    await page.goto(site + PLAYGROUND);
    await page.getByLabel("What is the picture to show?").fill("a long prompt");
    await context.clearCookies();
    await makeButton().click();
    await page.getByLabel("E-mail address").fill(`interrupted${people - 1}@example.com`);
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Playground" }).waitFor();
    await expectPrompt("a long prompt");
  });

  it("pays once for a form whose answer was lost, and for a double click, and twice for two submits", async () => {
    let sends = 0;
    await page.route(`**${PLAYGROUND}`, async (route) => {
      if (route.request().method() !== "POST") return await route.continue();
      sends += 1;
      if (sends > 1) return await route.continue();
      // It arrives; its answer does not.
      await route.fetch();
      await cut(route);
    });
    await askFor("a lighthouse");
    await page.getByRole("img", { name: "a lighthouse" }).waitFor();
    expect(sends).toBe(2);
    await page.getByText("192 credits left").waitFor();
    await makeButton().dblclick();
    await page.getByText("184 credits left").waitFor();
    expect(await charges()).toBe(2);
  });

  it("puts the whole prompt into the examples, and no prompt into an address", async () => {
    const addresses: string[] = [];
    page.on("request", (request) => addresses.push(request.url()));
    await page.goto(site + PLAYGROUND);
    const prompt = `it's "${"p".repeat(1_500)}" $& THE END`;
    await page.getByLabel("What is the picture to show?").fill(prompt);
    await page.getByLabel("Resolution").selectOption("2K");
    await page.getByText("10 credits for 1 picture").waitFor();
    const json = JSON.stringify(prompt);
    const sample = (name: string) => page.locator(`#sample-${name}`).textContent();
    expect(await sample("curl")).toContain(json.replaceAll("'", String.raw`'\''`));
    expect(await sample("javascript")).toContain(json);
    expect(await sample("python")).toContain(json);
    expect(addresses.filter((address) => address.includes("/preview")).length).toBeGreaterThan(1);
    expect(addresses.filter((address) => /prompt|ppp/i.test(address))).toEqual([]);
  });

  it("asks again for the same size, and says that references were not carried over", async () => {
    const key = await createKey(page, site, "a program");
    const form = new FormData();
    for (const [name, value] of Object.entries({ model: "gpt-image-2", prompt: "a cove", size: "1536x864" }))
      form.append(name, value);
    const picture = await fetch(`${site}/assets/pictures/lighthouse.webp`);
    form.append("reference_image", await picture.blob(), "a.webp");
    const headers = { authorization: `Bearer ${key}` };
    const made = await fetch(`${site}/api/v1/images/generations`, { method: "POST", headers, body: form });
    expect(made.status).toBe(200);
    await page.goto(`${site}/account/generations`);
    await page.locator(".gallery a").first().click();
    await page.getByRole("link", { name: "Use this prompt again" }).click();
    await page.getByText("The earlier generation used 1 reference image.").waitFor();
    await page.getByText("8 credits for 1 picture of 1536 × 864").waitFor();
    await makeButton().click();
    const image = page.getByRole("img", { name: "a cove" });
    await image.waitFor();
    expect(await image.evaluate((element) => "naturalWidth" in element && element.naturalWidth)).toBe(1536);
  });
});

describe("the page of a generation", () => {
  it("goes on after 503, 429 and two seconds without a network", async () => {
    // Drawn while the service holds the page's first look back.
    const held = Promise.withResolvers<void>();
    await page.goto(site + PLAYGROUND);
    await scriptLooks(...Array.from({ length: 40 }, () => drawing));
    await page.route(/\/account\/generations\/gen_\w+$/, async (route) => {
      const response = await route.fetch();
      // As it was while the picture was being made.
      const id = route.request().url().split("/").at(-1);
      const progress = `<div class="progress" data-progress="/account/generations/${id}/state" data-began="${Date.now()}"><p><span class="status">Drawing</span> <span data-seconds></span></p><p data-reload hidden>Reload it</p></div>`;
      const body = (await response.text())
        .replace('<div class="detail">', `${progress}<div class="detail">`)
        .replace("</head>", '<script type="module" src="/assets/progress.js"></script></head>');
      await route.fulfill({ response, body });
      held.resolve();
    });
    await page.getByLabel("What is the picture to show?").fill("a harbour");
    await makeButton().click();
    await runningLink().waitFor();
    await page.unroute(STATE);
    const looks = await scriptLooks(drawing, busy(503), busy(429), cut, drawing, drawing);
    await runningLink().click();
    await held.promise;
    await page.getByText("No connection. Trying again…").waitFor();
    await context.setOffline(true);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await page.unroute(/\/account\/generations\/gen_\w+$/);
    await context.setOffline(false);
    await page.getByRole("img", { name: "1: a harbour" }).waitFor();
    await page.getByRole("link", { name: "Download picture 1" }).waitFor();
    await page.waitForFunction("document.querySelector('[data-progress]') === null");
    expect(looks.count).toBeGreaterThan(5);
  });
});

describe("the page of a new key", () => {
  it("makes no second key when its form is sent again", async () => {
    const key = await createKey(page, site, "prod");
    // Chromium sends the form again by itself under automation.
    await page.reload();
    await page.getByRole("heading", { name: "The key “prod” exists already" }).waitFor();
    await expectAccessible(page);
    expect(await page.content()).not.toContain(key);
    await page.getByRole("link", { name: "Go to your keys" }).click();
    expect(await page.locator(".keys > li").count()).toBe(1);
  });
});
