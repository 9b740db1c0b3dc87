import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { createKey, launchBrowser, PASSWORD, signUp } from "../../scripts/browser.mjs";
import { openPage } from "./look.ts";

const site = inject("site");

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
});

afterEach(async () => {
  expect(complaints).toEqual([]);
  await context.close();
});

const somebody = () => `person${people++}@example.com`;

async function credits(key: string) {
  const response = await fetch(`${site}/api/v1/credits`, { headers: { authorization: `Bearer ${key}` } });
  return { status: response.status, body: await response.json() };
}

it("signs up, makes a key that works, revokes it, and sees it refused", async () => {
  await signUp(page, site, somebody());
  const key = await createKey(page, site, "a program");
  expect(await credits(key)).toMatchObject({ status: 200, body: { credits: 200, account_type: "FREE" } });

  await page.getByRole("link", { name: "I stored it" }).click();
  expect(await page.locator("body").textContent()).not.toContain(key);
  expect(await page.locator(".keys").textContent()).toMatch(/a program.*Last used/);
  await page.goBack().catch(() => {});
  expect(await page.content()).not.toContain(key);
  await page.goto(`${site}/account/keys`);
  await page.getByRole("link", { name: "Revoke a program" }).click();
  await page.getByRole("button", { name: "Revoke the key" }).click();
  await page.getByText("Revoked").waitFor();
  expect(await credits(key)).toMatchObject({ status: 401, body: { error: { code: "invalidApiKey" } } });
});

it("copies a new key", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: site });
  await signUp(page, site, somebody());
  const key = await createKey(page, site, "a program");
  await page.locator(".secret").getByRole("button", { name: "Copy" }).click();
  await page.locator(".secret").getByText("✓").waitFor();
  expect(await page.evaluate("navigator.clipboard.readText()")).toBe(key);
});

it("comes from the landing page to a picture, and finds what it cost", async () => {
  await page.goto(site);
  await page.getByRole("main").getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("E-mail address").fill(somebody());
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create the account" }).click();
  await page.getByRole("link", { name: "Make a picture" }).click();

  await page.getByLabel("What is the picture to show?").fill("it's a lighthouse");
  await page.getByLabel("Shape").selectOption("16:9");
  await page.getByText("8 credits for 1 picture of 1280 × 720").waitFor();
  await page.getByText('"size": "1280x720"').first().waitFor();
  expect(await page.locator("#sample-curl").textContent()).toContain(String.raw`it'\''s a lighthouse`);
  await page.getByRole("button", { name: "Make the picture" }).click();
  const picture = page.getByRole("img", { name: "it's a lighthouse" });
  await picture.waitFor();
  expect(await picture.evaluate((image) => "naturalWidth" in image && image.naturalWidth)).toBe(1280);
  await page.getByText("192 credits left").waitFor();

  await page.getByRole("link", { name: "Receipt and download" }).click();
  await page.getByRole("heading", { name: "it's a lighthouse" }).waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download picture 1" }).click();
  expect((await download).suggestedFilename()).toMatch(/^img_.*\.png$/);
  await page.goto(`${site}/account/credits`);
  await page.getByRole("link", { name: "Charge" }).waitFor();
});

it.each([
  ["GitHub", "https://github.com/login/oauth/authorize"],
  ["Google", "https://accounts.google.com/o/oauth2/v2/auth"],
])("leads to %s, which the policy lets through, and to nowhere else", async (name, address) => {
  // Nothing leaves this machine: what would be asked of the other site is answered here.
  await page.route(/^https:/, (route) => route.fulfill({ body: "the other site" }));
  await page.goto(`${site}/sign-in?next=/account/keys`);
  await page.getByRole("button", { name: `Continue with ${name}` }).click();
  await page.getByText("the other site").waitFor();
  const url = new URL(page.url());
  expect(url.origin + url.pathname).toBe(address);
  expect(url.searchParams.get("redirect_uri")).toBe(`${site}/sign-in/with/callback/${name.toLowerCase()}`);
});

it("says at the field what is wrong, and leads there", async () => {
  await signUp(page, site, somebody());
  await page.goto(`${site}/account/playground`);
  await page.getByRole("button", { name: "Make the picture" }).click();
  const prompt = page.getByLabel("What is the picture to show?");
  await page.getByText("Describe the picture.").waitFor();
  expect(await prompt.getAttribute("aria-invalid")).toBe("true");
  expect(await page.evaluate("document.activeElement.id")).toBe("prompt");
  // The browser tells of every refused request.
  expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
});

it("works without scripts, from the sign-in to the picture", async () => {
  await context.close();
  context = await browser.newContext({ javaScriptEnabled: false });
  ({ page, complaints } = await openPage(context));
  await signUp(page, site, somebody());
  await page.goto(`${site}/account/playground`);
  await page.getByLabel("What is the picture to show?").fill("a harbour");
  await page.getByRole("button", { name: "Make the picture" }).click();
  // The page of an unfinished generation comes again by itself.
  await page.getByRole("img", { name: "1: a harbour" }).waitFor();
});

it("sends a session that has ended to sign in, and back to where it was", async () => {
  const email = somebody();
  await signUp(page, site, email);
  await page.goto(`${site}/account/keys`);
  await context.clearCookies();
  await page.getByLabel("Name of the new key").fill("too late");
  await page.getByRole("button", { name: "Create the key" }).click();
  await page.getByLabel("E-mail address").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "API keys" }).waitFor();
  expect(await page.getByText("You have no keys yet.").count()).toBe(1);
});

it("signs out everywhere", async () => {
  const email = somebody();
  await signUp(page, site, email);
  await page.goto(`${site}/account/settings`);
  await page.getByRole("button", { name: "Sign out everywhere" }).click();
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
  await page.goto(`${site}/account`);
  expect(page.url()).toContain("/sign-in?next=");
});

it("switches the language of the documentation", async () => {
  await page.goto(`${site}/docs`);
  await page.getByRole("link", { name: "Türkçe" }).click();
  await page.getByRole("heading", { name: "API belgeleri" }).waitFor();
  expect(await page.locator("html").getAttribute("lang")).toBe("tr");
  await page.getByRole("link", { name: "English" }).click();
  await page.getByRole("heading", { name: "API documentation" }).waitFor();
});
