import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { expectAccessible, expectNoSidewaysScroll, openPage } from "./look.ts";

const site = inject("site");
const NARROW = { width: 320, height: 700 };

let browser: Browser;
let context: BrowserContext;

beforeAll(async () => {
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: NARROW });
});

afterEach(async () => {
  await context.close();
});

describe("the search", () => {
  it("is reached by /, shows results while typing, and opens one by the keyboard", async () => {
    const { page, complaints } = await openPage(context);
    await page.goto(`${site}/docs`);
    await page.keyboard.press("/");
    const input = page.getByRole("combobox", { name: "Search the documentation" });
    expect(await page.evaluate("document.activeElement?.id")).toBe("search");
    await page.keyboard.type("idempotency");
    await page.getByRole("option").first().waitFor();
    expect(await page.locator(".search [role=status]").textContent()).toMatch(/^\d results$/);
    await page.keyboard.press("ArrowDown");
    expect(await input.getAttribute("aria-activedescendant")).toBe("search-result-0");
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await page.keyboard.press("Escape");
    expect(await page.getByRole("option").first().isVisible()).toBe(false);
    await input.fill("cancel a generation");
    await page.getByRole("option").first().waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL(/#/);
    expect(complaints).toEqual([]);
  });

  it("opens a page of results by Enter, in Turkish too", async () => {
    const { page, complaints } = await openPage(context);
    await page.goto(`${site}/tr/docs`);
    await page.getByRole("combobox", { name: "Belgelerde ara" }).fill("HIZ SINIRLARI");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/tr\/docs\/search\?q=/);
    expect(await page.locator(".results a").first().textContent()).toBe("Hız sınırları");
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    expect(complaints).toEqual([]);
  });
});

describe("the list of contents", () => {
  it.each(["/docs", "/docs/reference/api"])("marks the section of %s that is being read", async (path) => {
    const { page, complaints } = await openPage(context);
    await page.setViewportSize({ width: 1200, height: 800 });
    await page.goto(`${site}${path}`);
    const marked = page.locator(".contents [aria-current=location]");
    const links = await page.locator(".contents a").allTextContents();
    expect(links.length).toBeGreaterThan(4);
    expect(await marked.count()).toBeLessThanOrEqual(1);
    for (const name of [links[3], links[1], links.at(-2), links.at(-1), links[0]]) {
      await page
        .locator(".contents a")
        .getByText(name ?? "", { exact: true })
        .click();
      await expect.poll(() => marked.allTextContents()).toEqual([name]);
    }
    await page.evaluate("scrollTo(0, document.body.scrollHeight)");
    await expect.poll(() => marked.allTextContents()).toEqual([links.at(-1)]);
    await expectAccessible(page);
    expect(complaints).toEqual([]);
  });
});

describe("try it", () => {
  it("reads the credits and generates an image with a test key", async () => {
    const { page, complaints } = await openPage(context);
    await page.goto(`${site}/docs/reference/credits`);
    const credits = page.locator("section[aria-labelledby=getCredits]");
    await credits.getByRole("button", { name: "Try it" }).click();
    await credits.getByLabel("API key").fill(inject("testKey"));
    await credits.getByRole("button", { name: "Send" }).click();
    await credits.getByText("200 OK").waitFor();
    expect(await credits.locator("pre").last().textContent()).toContain('"object": "credit_balance"');

    await page.goto(`${site}/docs/reference/api`);
    const generate = page.locator("section[aria-labelledby=createGeneration]");
    await generate.getByRole("button", { name: "Try it" }).click();
    // The key is still known in this tab.
    await generate.getByRole("button", { name: "Send" }).click();
    await generate.getByText("200 OK").waitFor();
    await generate.locator("img").waitFor();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    expect(page.url()).not.toContain("gih_");
    expect(complaints).toEqual([]);
  });

  it("asks before it sends a request that can cost credits with a live key", async () => {
    const { page } = await openPage(context);
    const sent: string[] = [];
    page.on("request", (request) => sent.push(`${request.method()} ${new URL(request.url()).pathname}`));
    const asked: string[] = [];
    page.on("dialog", async (dialog) => {
      asked.push(dialog.message());
      await dialog.dismiss();
    });
    await page.goto(`${site}/docs/reference/api`);
    const generate = page.locator("section[aria-labelledby=createGeneration]");
    await generate.getByRole("button", { name: "Try it" }).click();
    await generate.getByLabel("API key").fill(inject("key"));
    await generate.getByRole("button", { name: "Send" }).click();
    expect(asked).toEqual([expect.stringContaining("can cost credits")]);
    expect(sent).not.toContain("POST /api/v1/images/generations");
  });
});
