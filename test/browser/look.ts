import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { BrowserContext, Page } from "playwright-core";
import { expect, vi } from "vitest";
import * as z from "zod";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 20_000;
const PHONE = { width: 390, height: 844 };
const DESK = { width: 1440, height: 900 };

const Results = z.object({
  violations: z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) })),
});

/** Opens a page and collects the errors of its scripts and the violations of its policy. */
export async function openPage(context: BrowserContext): Promise<{ page: Page; complaints: string[] }> {
  const complaints: string[] = [];
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return { page, complaints };
}

/** The rules of axe whose result depends on colors. */
const COLOR_RULES = ["color-contrast", "link-in-text-block"];

/**
 * Checks the page with axe: by default with its rules for WCAG 2 and best practices.
 * @param rules only these
 */
export async function expectAccessible(page: Page, rules?: readonly string[]): Promise<void> {
  // Run by the debugger, so that the page's policy does not block it.
  if (await page.evaluate("typeof axe === 'undefined'")) await page.evaluate(axe);
  // Otherwise axe also describes every element that passes, which takes as long as the checks.
  const options = {
    resultTypes: ["violations"],
    ...(rules && { runOnly: { type: "rule", values: rules } }),
  };
  const { violations } = Results.parse(await page.evaluate(`axe.run(${JSON.stringify(options)})`));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  expect(found, page.url()).toEqual([]);
}

/** Checks that nothing is wider than the window, once the page has taken its styles and its new size. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  await vi.waitFor(async () => expect(await page.evaluate(overflow), page.url()).toBe(0), { timeout: 5_000 });
}

/**
 * Checks a page on a phone and a desk, in both color schemes. With SCREENS_DIR, a picture of each is left there.
 * @param name of the pictures
 */
export async function expectPresentable(page: Page, name?: string): Promise<void> {
  const directory = process.env["SCREENS_DIR"];
  for (const size of [PHONE, DESK]) {
    await page.setViewportSize(size);
    await expectNoSidewaysScroll(page);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      // Another color scheme changes nothing but colors.
      await expectAccessible(page, colorScheme === "dark" ? COLOR_RULES : undefined);
      if (directory && name)
        await page.screenshot({
          path: `${directory}/${name}-${size.width}-${colorScheme}.png`,
          fullPage: true,
        });
    }
  }
}
