import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { BrowserContext, Page } from "playwright-core";
import { expect, vi } from "vitest";
import * as z from "zod";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE_MS = 20_000;

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

/** Checks the page with axe: by default its rules for WCAG 2 and best practices. */
export async function expectAccessible(page: Page): Promise<void> {
  // Run by the debugger, so that the page's policy does not block it.
  await page.evaluate(axe);
  const { violations } = Results.parse(await page.evaluate("axe.run()"));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  expect(found, page.url()).toEqual([]);
}

/** Checks that nothing is wider than the window, once the page has taken its styles and its new size. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
  const overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
  await vi.waitFor(async () => expect(await page.evaluate(overflow), page.url()).toBe(0), { timeout: 5_000 });
}
