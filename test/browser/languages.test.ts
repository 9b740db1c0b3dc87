import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { launchBrowser, PASSWORD } from "../../scripts/browser.mjs";
import { expectPresentable, openPage } from "./look.ts";

const site = inject("site");

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

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

it("leads from the Turkish landing page to an image, in Turkish", async () => {
  await page.goto(`${site}/tr`);
  await page.getByRole("main").getByRole("link", { name: "Hesap aç" }).click();
  await page.getByLabel("E-posta").fill("turk@example.com");
  await page.getByLabel("Parola").fill(PASSWORD);
  await page.getByRole("button", { name: "Hesap aç" }).click();
  await page.getByRole("heading", { name: "Hoş geldiniz" }).waitFor();
  await page.getByRole("link", { name: "Görsel oluştur", exact: true }).click();
  await page.getByLabel("En boy oranı").selectOption("16:9");
  await page.getByText("1 görsel için 8 kredi, 1280 × 720").waitFor();

  const make = page.getByRole("button", { name: "Oluştur", exact: true });
  await make.click();
  await page.getByText("Bir istem girin.").waitFor();
  // The browser logs every failed request.
  expect(complaints.splice(0)).toEqual([expect.stringContaining("422")]);
  await page.getByLabel("İstem", { exact: true }).fill("bir deniz feneri");
  await make.click();
  await page.getByRole("img", { name: "bir deniz feneri" }).waitFor();
  await page.getByText("192 kredi kaldı").waitFor();

  await page.getByRole("link", { name: "Makbuz ve ayarlar" }).click();
  await page.getByRole("heading", { name: "bir deniz feneri" }).waitFor();
  const time = page.locator(".facts-list time").first();
  await expect.poll(() => time.getAttribute("title")).toMatch(/ UTC$/);
  const month = new Intl.DateTimeFormat("tr", { month: "short" }).format(new Date());
  expect(await time.textContent()).toContain(month);
  await page.goto(`${site}/account/credits`);
  await page.getByRole("link", { name: "Ücret" }).waitFor();
});

it("changes the language on any page, and keeps it", async () => {
  await page.goto(`${site}/sign-in?next=/account/keys`);
  await page.getByRole("link", { name: "Türkçe" }).click();
  await page.getByRole("heading", { name: "Giriş yap" }).waitFor();
  expect(page.url()).toBe(`${site}/sign-in?next=/account/keys`);
  await page.getByRole("link", { name: "Belgeler" }).first().click();
  await page.getByRole("heading", { name: "API belgeleri" }).waitFor();
  await page.getByRole("link", { name: "English" }).click();
  await page.getByRole("heading", { name: "API documentation" }).waitFor();
  await page.goto(`${site}/sign-in`);
  await page.getByRole("heading", { name: "Sign in" }).waitFor();
});

it("shows the public pages accessibly, within the window", async () => {
  await page.goto(`${site}/language/tr`);
  for (const path of ["/tr", "/sign-in", "/sign-up", "/forgot-password"]) {
    await page.goto(`${site}${path}`);
    await page.waitForLoadState("networkidle");
    await expectPresentable(page, `tr${path.replaceAll("/", "-")}`);
  }
});

it("shows every page of an account accessibly, within the window", async () => {
  // Sign-ups are limited.
  await page.goto(`${site}/language/tr?next=/sign-in`);
  await page.getByLabel("E-posta").fill("demo@example.com");
  await page.getByLabel("Parola").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Giriş yap" }).click();
  await page.getByRole("heading", { name: "Genel bakış" }).waitFor();
  for (const [path, heading] of [
    ["/account", "Genel bakış"],
    ["/account/playground", "Deneme alanı"],
    ["/account/generations", "Görseller"],
    ["/account/keys", "API anahtarları"],
    ["/account/credits", "Krediler"],
    ["/account/settings", "Ayarlar"],
  ]) {
    await page.goto(`${site}${path}`);
    await page.getByRole("heading", { name: heading ?? "", level: 1 }).waitFor();
    await page.waitForLoadState("networkidle");
    await expectPresentable(page, `tr${path?.replaceAll("/", "-")}`);
  }
});
