import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { launchBrowser, signUp } from "../../scripts/browser.mjs";
import { expectPresentable, openPage } from "./look.ts";

const site = inject("site");
const DESK = { width: 1440, height: 900 };

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  browser = await launchBrowser();
  context = await browser.newContext({ viewport: DESK });
  ({ page, complaints } = await openPage(context));
  await signUp(page, site, "buyer@example.com");
});

afterAll(async () => {
  await browser.close();
});

it("buys credits, draws a picture with them, and gets a refund of what is left", async () => {
  await page.goto(`${site}/account/credits`);
  await page.getByText("Payments on this site move no money.").waitFor();
  await expectPresentable(page, "packs");

  await page.getByRole("button", { name: "Buy Starter" }).click();
  await page.getByText("Test money. This page stands in for Stripe").waitFor();
  await expectPresentable(page, "payment");
  await page.getByRole("button", { name: "Decline" }).click();
  await page.getByRole("link", { name: "Back without paying" }).click();
  await page.getByText("You left the payment page. Nothing was charged.").waitFor();
  expect(await page.locator("[data-balance]").textContent()).toBe("200 left");

  await page.getByRole("button", { name: "Buy Starter" }).click();
  await page.getByRole("button", { name: "Pay", exact: true }).click();
  await page.getByText("Thank you. 5,000 credits were added.").waitFor();
  expect(await page.locator("[data-balance]").textContent()).toBe("5,200 left");
  await expectPresentable(page, "paid");
  await page.goto(`${site}/account/settings`);
  await page.getByText("PRO", { exact: true }).waitFor();
  await page.getByLabel("Tell me when my balance falls below").fill("500");
  await page.getByRole("button", { name: "Save" }).click();
  await expectPresentable(page, "settings");

  await page.goto(`${site}/account/playground`);
  await page.getByLabel("Prompt").fill("a lighthouse");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByText("5,192 credits left").waitFor();
  await page.getByRole("img", { name: "a lighthouse" }).waitFor();

  await page.goto(`${site}/account/credits`);
  await page.getByRole("link", { name: "Receipt for Starter" }).click();
  await page.getByRole("button", { name: "Refund the payment" }).click();
  await page.getByText("Refunded: $5.00").waitFor();
  await page.goto(`${site}/account/credits`);
  await expect
    .poll(async () => {
      await page.reload();
      return await page.locator("[data-balance]").textContent();
    })
    .toBe("192 left");
  expect(await page.getByRole("row", { name: /Starter.*Refunded/ }).count()).toBe(1);
  expect(await page.getByRole("row", { name: /Taken back.*5,000/ }).count()).toBe(1);
  await expectPresentable(page, "refunded");
  expect(complaints).toEqual([]);
});

const left = async () => Number((await page.locator("[data-balance]").textContent())?.replace(/\D/g, ""));

it("waits for a payment that comes later", async () => {
  await page.goto(`${site}/account/credits`);
  const before = await left();
  await page.getByRole("button", { name: "Buy Standard" }).click();
  await page.getByRole("button", { name: /Pay later/ }).click();
  await page.getByText("Waiting for the payment. The credits are added when it arrives.").waitFor();
  await page.getByText("Thank you. 21,000 credits were added.").waitFor();
  expect(await left()).toBe(before + 21_000);
  expect(complaints).toEqual([]);
});
