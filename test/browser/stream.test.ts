import type { Browser, BrowserContext, Page, Route } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { expectAccessible, openPage } from "./look.ts";

/** The playground follows a generation by its stream of events. All tests share the demo account: sign-ups are limited. */
const site = inject("site");
const STATE = /\/account\/generations\/gen_\w+\/state$/;
const EVENTS = /\/account\/generations\/gen_\w+\/events$/;
const CANCEL = /\/account\/generations\/gen_\w+\/cancel$/;

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];
let counts: { streams: number; polls: number };

beforeAll(async () => {
  browser = await launchBrowser();
  context = await browser.newContext();
  ({ page, complaints } = await openPage(context));
  await page.goto(`${site}/sign-in`);
  await page.getByLabel("Email").fill("demo@example.com");
  await page.getByLabel("Password").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
});

afterAll(async () => {
  await browser.close();
});

beforeEach(async () => {
  // A page of its own has a storage of its own, so it does not follow the generation of another test.
  ({ page, complaints } = await openPage(context));
  counts = { streams: 0, polls: 0 };
  page.on("request", (request) => {
    if (EVENTS.test(request.url())) counts.streams += 1;
    if (STATE.test(request.url())) counts.polls += 1;
  });
});

afterEach(async () => {
  // The browser logs every failed request. Errors of scripts are failures.
  expect(complaints.filter((text) => !text.startsWith("Failed to load resource"))).toEqual([]);
  await page.close();
});

const stateOf = (status: string) => ({ status, ended: false, message: null, images: [] });
const generating = (route: Route) => route.fulfill({ json: stateOf("processing") });
const cut = (route: Route) => route.abort("connectionreset");

const submitButton = () => page.getByRole("button", { name: "Generate" });

async function submitPrompt(prompt: string) {
  await page.goto(`${site}/account/playground`);
  await page.getByLabel("Prompt").fill(prompt);
  await submitButton().click();
}

it("is opened once, and needs no polls", async () => {
  await submitPrompt("a lighthouse");
  await page.getByRole("img", { name: "a lighthouse" }).waitFor();
  expect(counts).toEqual({ streams: 1, polls: 0 });
});

it("is opened again after a break and a poll", async () => {
  const event = `event: generation\nid: processing\ndata: ${JSON.stringify(stateOf("processing"))}\n\n`;
  await page.route(EVENTS, async (route) => {
    if (counts.streams > 1) return await route.continue();
    // One event, and then the connection ends.
    await route.fulfill({ headers: { "Content-Type": "text/event-stream" }, body: event });
  });
  await page.route(STATE, generating);
  await submitPrompt("a mill");
  await page.getByRole("img", { name: "a mill" }).waitFor();
  expect(counts).toEqual({ streams: 2, polls: 1 });
  expect(await submitButton().isDisabled()).toBe(false);
});

it("is replaced by polls when it breaks three times", async () => {
  await page.route(EVENTS, cut);
  await page.route(STATE, (route) => (counts.polls > 4 ? route.continue() : generating(route)));
  await submitPrompt("a harbour");
  await page.getByRole("img", { name: "a harbour" }).waitFor();
  expect(counts).toEqual({ streams: 3, polls: expect.any(Number) });
  expect(counts.polls).toBeGreaterThan(4);
});

it("and polls show a queued generation that is canceled, also when the first request is lost", async () => {
  const canceled = { ...stateOf("canceled"), ended: true, message: "Canceled. Your credits were returned." };
  const cancels: string[] = [];
  await page.route(EVENTS, cut);
  await page.route(STATE, (route) => route.fulfill({ json: cancels[1] ? canceled : stateOf("queued") }));
  await page.route(CANCEL, async (route) => {
    cancels.push(route.request().method());
    await (cancels[1] ? route.fulfill({ json: canceled }) : cut(route));
  });
  await submitPrompt("a cove");
  const cancelButton = page.getByRole("button", { name: "Cancel and refund" });
  await cancelButton.waitFor();
  await expectAccessible(page);
  await cancelButton.click();
  // The first request was lost, so the button works again.
  await expect.poll(() => cancels.length).toBe(1);
  await cancelButton.click();
  await page.getByText("Canceled. Your credits were returned.").waitFor();
  expect(cancels).toEqual(["POST", "POST"]);
  expect([await cancelButton.count(), await submitButton().isDisabled()]).toEqual([0, false]);
});
