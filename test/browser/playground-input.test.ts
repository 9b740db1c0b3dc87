import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { expectAccessible, openPage } from "./look.ts";

/**
 * What is put into the playground other than by typing, and taken from it. All tests share the demo account: sign-ups
 * are limited.
 */
const site = inject("site");
const SAMPLE = "/assets/pictures/lighthouse.webp";

let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  browser = await launchBrowser();
  context = await browser.newContext();
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: site });
  ({ page } = await openPage(context));
  await page.goto(`${site}/sign-in?next=/account/playground`);
  await page.getByLabel("Email").fill("demo@example.com");
  await page.getByLabel("Password").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Playground" }).waitFor();
});

afterAll(async () => {
  await browser.close();
});

beforeEach(async () => {
  // A page of its own has a storage of its own, so it does not have the draft of another test.
  ({ page, complaints } = await openPage(context));
});

afterEach(async () => {
  await page.close();
});

const prompt = () => page.getByLabel("Prompt");

/** Waits until the form has the ids of so many references, each uploaded. */
async function expectReferences(count: number) {
  const ids = () => page.locator("[name=references]").inputValue();
  const form = count === 0 ? "" : `ref_\\w+${" ref_\\w+".repeat(count - 1)}`;
  await expect.poll(ids, { timeout: 20_000 }).toMatch(new RegExp(`^${form}$`));
}

/** Drops files on the prompt. Each is described by an expression that the page evaluates. */
async function drop(...files: string[]) {
  const dataTransfer = await page.evaluateHandle(
    `(async () => {
      const transfer = new DataTransfer();
      for (const file of [${files}]) transfer.items.add(await file);
      return transfer;
    })()`,
  );
  await prompt().dispatchEvent("drop", { dataTransfer });
}

const picture = (name: string) =>
  `fetch("${SAMPLE}").then(async (response) => new File([await response.blob()], "${name}", { type: "image/webp" }))`;

it("takes pasted and dropped images as references of a generation", async () => {
  await page.goto(`${site}/account/playground`);
  await page.evaluate(
    `(async () => {
      const bitmap = await createImageBitmap(await (await fetch("${SAMPLE}")).blob());
      const canvas = new OffscreenCanvas(256, 256);
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      await navigator.clipboard.write([new ClipboardItem({ "image/png": await canvas.convertToBlob() })]);
    })()`,
  );
  await prompt().fill("a lighthouse like these");
  await prompt().focus();
  await page.keyboard.press("Control+V");
  await expectReferences(1);
  await drop(picture("one.webp"), picture("two.webp"));
  await expectReferences(3);
  expect(await prompt().inputValue()).toBe("a lighthouse like these");
  expect(await page.locator("[data-chips] > li > span").allTextContents()).toEqual([
    "image.png",
    "one.webp",
    "two.webp",
  ]);
  await page.waitForFunction("document.querySelectorAll('[data-chips] canvas').length === 3");
  await expectAccessible(page);

  await page.getByRole("button", { name: "Remove one.webp" }).click();
  await expectReferences(2);
  await page.getByRole("button", { name: "Generate" }).click();
  await page.getByRole("img", { name: "a lighthouse like these" }).waitFor();
  await page.getByRole("link", { name: "Receipt and settings" }).click();
  const fact = page.locator(".facts-list > div", { hasText: "References" });
  expect(await fact.locator("dd").textContent()).toBe("2");
  expect(complaints).toEqual([]);
});

it("names a dropped file that is not an image, and keeps the others", async () => {
  await page.goto(`${site}/account/playground`);
  await drop(picture("one.webp"), `new File(["not an image"], "notes.txt", { type: "text/plain" })`);
  await page.getByText("notes.txt: The file is not a PNG, JPEG or WebP image.").waitFor();
  await expectReferences(1);
  expect(await page.locator("[data-chips] > li").count()).toBe(1);
  // The browser logs every failed request.
  expect(complaints).toEqual([expect.stringContaining("Failed to load resource")]);
});

it("leaves pasted and dropped text to the browser", async () => {
  await page.goto(`${site}/account/playground`);
  await page.evaluate("navigator.clipboard.writeText('a mill')");
  await prompt().focus();
  await page.keyboard.press("Control+V");
  await expect.poll(() => prompt().inputValue(), { timeout: 10_000 }).toBe("a mill");
  const isLeft = await page.evaluate(
    `(() => {
      const transfer = new DataTransfer();
      transfer.setData("text/plain", "by a stream");
      const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
      return document.querySelector("#prompt").dispatchEvent(new DragEvent("drop", options));
    })()`,
  );
  expect(isLeft).toBe(true);
  await expectReferences(0);
  expect(complaints).toEqual([]);
});

/** As on a page over plain HTTP from another machine. */
const WITHOUT_CLIPBOARD = "delete Navigator.prototype.clipboard";

it.each([
  ["a page that has a clipboard", ""],
  ["a page that has none", WITHOUT_CLIPBOARD],
])("copies code on %s", async (_, script) => {
  await page.addInitScript(script);
  await page.goto(`${site}/account/playground`);
  expect(await page.evaluate("'clipboard' in navigator")).toBe(script === "");
  const sample = page.locator("#sample-curl");
  const code = await sample.textContent();
  expect(code).toContain("curl ");
  await page.locator(".code", { has: sample }).getByRole("button", { name: "Copy" }).click();
  await page.getByText("✓").waitFor();
  expect(await page.getByRole("status").filter({ hasText: "Copied" }).count()).toBe(1);
  await prompt().focus();
  await page.keyboard.press("Control+V");
  await expect.poll(() => prompt().inputValue(), { timeout: 10_000 }).toBe(code);
  expect(complaints).toEqual([]);
});

it("says so where it cannot copy", async () => {
  await page.addInitScript(`${WITHOUT_CLIPBOARD}; document.execCommand = () => false`);
  await page.goto(`${site}/docs`);
  await page.getByRole("button", { name: "Copy" }).first().click();
  await page.getByRole("button", { name: "Not copied" }).waitFor();
  await page.getByRole("status").filter({ hasText: "Not copied" }).waitFor();
  expect(complaints).toEqual([]);
});
