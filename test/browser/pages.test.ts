import type { Browser, BrowserContext, Page, Response } from "playwright-core";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { ADMIN_TOKEN, createKey, launchBrowser, signUp } from "../../scripts/browser.mjs";
import { expectPresentable, openPage } from "./look.ts";

const site = inject("site");
const DESK = { width: 1440, height: 900 };
const PAGE_BYTES_MAX = 100_000;

let browser: Browser;
/** Opens the public pages, one after the other. */
let visitor: Awaited<ReturnType<typeof openPage>>;

beforeAll(async () => {
  browser = await launchBrowser();
  visitor = await openPage(await browser.newContext({ viewport: DESK }));
});

afterAll(async () => {
  await browser.close();
});

/** The uncompressed bytes of a page with its styles and scripts, without images. */
const WEIGH = `[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter(({ initiatorType }) => initiatorType !== "img")
  .reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0)`;

async function openLight(page: Page, path: string): Promise<Response | null> {
  const response = await page.goto(`${site}${path}`);
  await page.waitForLoadState("networkidle");
  const bytes = await page.evaluate(WEIGH);
  expect(bytes, path).toBeGreaterThan(1_000);
  expect(bytes, path).toBeLessThanOrEqual(PAGE_BYTES_MAX);
  return response;
}

it.each([
  "/",
  "/tr",
  "/docs",
  "/tr/docs",
  "/docs/reference",
  "/docs/reference/api",
  "/docs/reference/credits",
  "/docs/reference/openai",
  "/docs/reference/operator",
  "/docs/reference/operations",
  "/docs/reference/webhooks",
  "/docs/changelog",
  "/terms",
  "/tr/privacy",
  "/sign-in",
  "/sign-in?next=/account",
  "/sign-up",
  "/forgot-password",
  "/reset-password?token=x",
  "/change-email?token=x",
  "/operator",
  "/nothing",
])("the public page %s is accessible, fits the window, obeys its policy and is small", async (path) => {
  const { page, complaints } = visitor;
  const response = await openLight(page, path);
  const missing = response?.status() === 404;
  expect(missing).toBe(path === "/nothing");
  await expectPresentable(page);
  expect(complaints.splice(0).filter((text) => !(missing && text.includes("404")))).toEqual([]);
});

it("the operator's page is accessible, fits the window, obeys its policy and is small", async () => {
  const context = await browser.newContext({ viewport: DESK });
  const { page, complaints } = await openPage(context);
  await page.goto(`${site}/operator`);
  await page.getByLabel("Operator's token").fill("not the token");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("This is not the operator's token.").waitFor();
  await expectPresentable(page, "operator-refused");
  expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
  await page.getByLabel("Operator's token").fill(ADMIN_TOKEN);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "By model and outcome" }).waitFor();
  for (const window of ["hour", "day", "month"]) {
    await openLight(page, `/operator?window=${window}`);
    await expectPresentable(page, `operator-${window}`);
  }
  expect(complaints).toEqual([]);
  await context.close();
});

describe("an account's pages", () => {
  let context: BrowserContext;
  let page: Page;
  let complaints: string[];

  beforeAll(async () => {
    context = await browser.newContext({ viewport: DESK });
    ({ page, complaints } = await openPage(context));
    await signUp(page, site, "pages@example.com");
    const key = await createKey(page, site, "a program");
    await expectPresentable(page);
    await page.setViewportSize(DESK);
    const response = await fetch(`${site}/api/v1/images/generations`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "gpt-image-2", prompt: "a lighthouse at dusk", n: 2 }),
    });
    expect(response.status).toBe(200);
  });

  it.each([
    ["/account", "Overview"],
    ["/account?welcome=1", "Welcome"],
    ["/account/playground", "Playground"],
    ["/account/generations", "Images"],
    ["/account/generations?status=failed", "Images"],
    ["/account/keys", "API keys"],
    ["/account/credits", "Credits"],
    ["/account/settings", "Settings"],
  ])("%s is accessible, fits the window, obeys its policy and is small", async (path, heading) => {
    await openLight(page, path);
    await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    await expectPresentable(page);
    expect(complaints).toEqual([]);
  });

  it("a list of images loads small ones only", async () => {
    await page.goto(`${site}/account/generations`);
    await page.waitForLoadState("networkidle");
    const sizes = await page.evaluate(
      "performance.getEntriesByType('resource').filter(({ initiatorType }) => initiatorType === 'img').map(({ encodedBodySize }) => encodedBodySize)",
    );
    expect(sizes).toEqual([expect.any(Number)]);
    expect(Number(sizes)).toBeGreaterThan(1_000);
    expect(Number(sizes)).toBeLessThan(60_000);
  });

  it("a list of images follows a generation to its end, in the reader's time zone", async () => {
    await page.route("**/account/generations", async (route) => {
      const response = await route.fetch();
      if (route.request().resourceType() !== "document") return await route.fulfill({ response });
      const body = (await response.text())
        .replace('data-status="succeeded"', 'data-status="processing"')
        .replace(/<img[^>]*>/, '<span class="status processing">Generating</span>');
      await route.fulfill({ response, body });
    });
    await page.goto(`${site}/account/generations`);
    await page.locator(".gallery .status").waitFor();
    await page.locator(".gallery img").waitFor();
    expect(await page.locator(".gallery time").getAttribute("title")).toMatch(/ UTC$/);
    expect(await page.locator(".gallery time").textContent()).not.toContain("UTC");
    await page.unroute("**/account/generations");
    expect(complaints).toEqual([]);
  });

  it("a generation and the confirmation of revoking a key are, too", async () => {
    await page.goto(`${site}/account/generations`);
    await page.locator(".gallery a").first().click();
    await page.getByRole("heading", { name: "Receipt" }).waitFor();
    // The heading can be there before the stylesheets are.
    await page.waitForLoadState();
    await expectPresentable(page);
    await page.goto(`${site}/account/keys`);
    await page.getByRole("link", { name: /^Revoke/ }).click();
    await page.getByRole("button", { name: "Revoke key" }).waitFor();
    await page.waitForLoadState();
    await expectPresentable(page);
    expect(complaints).toEqual([]);
  });

  it("the form of a new email address is, too, also with an error", async () => {
    await page.goto(`${site}/account/settings`);
    await page.getByText("Change email").click();
    await page.getByLabel("New email").waitFor();
    await expectPresentable(page, "email-form");
    await page.getByLabel("New email").fill("not an address");
    await page.getByRole("button", { name: "Send link" }).click();
    await page.locator("#new_email-error").waitFor();
    await page.waitForLoadState();
    await expectPresentable(page, "email-error");
    expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
  });

  it("a form with errors is, too", async () => {
    await page.goto(`${site}/account/keys`);
    await page.getByRole("button", { name: "Create key" }).click();
    await page.getByText("Enter a name for this key").waitFor();
    await expectPresentable(page);
    expect(complaints.every((text) => text.includes("422"))).toBe(true);
  });
});
