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

it("signs up, creates a key that works, and revokes it", async () => {
  await signUp(page, site, somebody());
  const key = await createKey(page, site, "a program");
  expect(await credits(key)).toMatchObject({ status: 200, body: { credits: 200, account_type: "FREE" } });

  await page.getByRole("link", { name: "Done" }).click();
  expect(await page.locator("body").textContent()).not.toContain(key);
  expect(await page.locator(".keys").textContent()).toMatch(/a program.*Last used/);
  await page.goBack().catch(() => {});
  expect(await page.content()).not.toContain(key);
  await page.goto(`${site}/account/keys`);
  await page.getByRole("link", { name: "Revoke a program" }).click();
  await page.getByRole("button", { name: "Revoke key" }).click();
  await page.getByText("Revoked", { exact: true }).waitFor();
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

it("gets from the landing page to an image and its charge", async () => {
  await page.goto(site);
  await page.getByRole("main").getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("Email").fill(somebody());
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("link", { name: "Generate an image" }).click();

  await page.getByLabel("Prompt").fill("it's a lighthouse");
  await page.getByLabel("Aspect ratio").selectOption("16:9");
  await page.getByText("8 credits for 1 image, 1280 × 720").waitFor();
  await page.getByText('"size": "1280x720"').first().waitFor();
  expect(await page.locator("#sample-curl").textContent()).toContain(String.raw`it'\''s a lighthouse`);
  await page.getByRole("button", { name: "Generate" }).click();
  const image = page.getByRole("img", { name: "it's a lighthouse" });
  await image.waitFor();
  expect(await image.getAttribute("width")).toBe("1280");
  await expect
    .poll(() => image.evaluate((element) => "naturalWidth" in element && element.naturalWidth), {
      timeout: 20_000,
    })
    .toBeGreaterThan(0);
  await page.getByText("192 credits left").waitFor();

  await page.getByRole("link", { name: "Receipt and settings" }).click();
  await page.getByRole("heading", { name: "it's a lighthouse" }).waitFor();
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download image 1" }).click();
  expect((await download).suggestedFilename()).toMatch(/^it-s-a-lighthouse-\w{6}\.png$/);
  await page.goto(`${site}/account/credits`);
  await page.getByRole("link", { name: "Charge" }).waitFor();
});

it.each([
  ["GitHub", "https://github.com/login/oauth/authorize"],
  ["Google", "https://accounts.google.com/o/oauth2/v2/auth"],
])("redirects to %s, which the policy allows", async (name, address) => {
  // Answers the requests to other sites, so that none leaves the machine.
  await page.route(/^https:/, (route) =>
    route.fulfill({ contentType: "text/plain", body: "the other site" }),
  );
  await page.goto(`${site}/sign-in?next=/account/keys`);
  await page.getByRole("button", { name: `Continue with ${name}` }).click();
  await page.getByText("the other site").waitFor();
  const url = new URL(page.url());
  expect(url.origin + url.pathname).toBe(address);
  expect(url.searchParams.get("redirect_uri")).toBe(`${site}/sign-in/with/callback/${name.toLowerCase()}`);
});

it("shows an error at its field, and focuses it", async () => {
  await signUp(page, site, somebody());
  await page.goto(`${site}/account/playground`);
  await page.getByRole("button", { name: "Generate" }).click();
  const prompt = page.getByLabel("Prompt");
  await page.getByText("Enter a prompt.").waitFor();
  expect(await prompt.getAttribute("aria-invalid")).toBe("true");
  expect(await page.evaluate("document.activeElement.id")).toBe("prompt");
  // The browser logs every failed request.
  expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
});

it("works without scripts, from sign-up to the image", async () => {
  await context.close();
  context = await browser.newContext({ javaScriptEnabled: false });
  ({ page, complaints } = await openPage(context));
  await signUp(page, site, somebody());
  await page.goto(`${site}/account/playground`);
  // The price cannot follow the form, so it is not shown.
  expect(await page.locator("#price").isVisible()).toBe(false);
  await page.getByRole("link", { name: "see the prices" }).waitFor();
  await page.getByLabel("Prompt").fill("a harbour");
  await page.getByRole("button", { name: "Generate" }).click();
  // The page of an unfinished generation reloads itself.
  await page.getByRole("img", { name: "1: a harbour" }).waitFor();
});

it("returns to the page after signing in again", async () => {
  const email = somebody();
  await signUp(page, site, email);
  await page.goto(`${site}/account/keys`);
  await context.clearCookies();
  await page.getByLabel("Name").fill("too late");
  await page.getByRole("button", { name: "Create key" }).click();
  await page.getByLabel("Email").fill(email);
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
