/** `npm run screens`: writes docs/screens/*.png, every page at the width of a phone and of a desktop, with images. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { createKey, launchBrowser, PAGES, signUp, startFreshService } from "./browser.mjs";
import { Failure, install, main, root } from "./lib.mjs";
import { accepted, callApi } from "./service/api.mjs";

const WIDTHS = [390, 1440];
const HEIGHT = 900;
const COLOURS = 96;
const PATIENCE_MS = 20_000;
const PROMPTS = [
  "a lighthouse at dusk",
  "a mountain cabin by a lake, evening",
  "a harbour in the morning mist",
  "desert dunes at noon",
  "a village in the snow under a full moon",
  "balloons over green hills",
];

/** These pages redirect a signed-in user. */
const SIGNED_OUT = /^(sign-|forgot-|reset-)/;

await main(async (stop) => {
  await install({ stop, say: console.log });
  const directory = join(root, "docs/screens");
  mkdirSync(directory, { recursive: true });
  const service = await startFreshService();
  const browser = await launchBrowser();
  try {
    const context = await browser.newContext({ viewport: { width: 1440, height: HEIGHT } });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    /** @param {string} name */
    const shoot = async (name) => {
      await page.waitForLoadState("networkidle");
      writeFileSync(join(directory, `${name}.png`), await shrink(await page.screenshot()));
      console.log(`docs/screens/${name}.png`);
    };
    await signUp(page, service.origin, "ada@example.com");
    const key = await createKey(page, service.origin, "my laptop");
    const body = { model: "gpt-image-2", size: "1536x1024" };
    for (const prompt of PROMPTS) {
      accepted(await callApi(`${service.origin}/api/v1/images/generations`, key, { ...body, prompt }));
    }
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: HEIGHT });
      for (const [name, path, options] of PAGES.filter(([name]) => !SIGNED_OUT.test(name))) {
        for (const dark of options?.dark ? [false, true] : [false]) {
          await page.emulateMedia({ colorScheme: dark ? "dark" : "light" });
          await page.goto(service.origin + path);
          if (name === "playground") await generate(page, dark ? PROMPTS[1] : PROMPTS[0]);
          await shoot(`${name}-${width}${dark ? "-dark" : ""}`);
        }
      }
      await page.emulateMedia({ colorScheme: "light" });
      await page.goto(`${service.origin}/account/generations`);
      await page.locator(".gallery a").first().click();
      await page.waitForURL(/\/gen_/);
      await shoot(`generation-${width}`);
      await createKey(page, service.origin, "a server");
      await shoot(`new-key-${width}`);
      await page.goto(`${service.origin}/account/keys`);
      await page
        .getByRole("link", { name: /^Revoke/ })
        .first()
        .click();
      await shoot(`revoke-key-${width}`);
    }
    await context.clearCookies();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: HEIGHT });
      for (const [name, path] of PAGES.filter(([name]) => SIGNED_OUT.test(name))) {
        await page.goto(service.origin + path);
        await shoot(`${name}-${width}`);
      }
    }
    return 0;
  } catch (error) {
    throw stop.aborted
      ? error
      : new Failure(`The screenshots failed: ${error instanceof Error ? error.message : error}`);
  } finally {
    await browser.close();
    await service.stop();
  }
});

/**
 * @param {import("playwright-core").Page} page
 * @param {string | undefined} prompt
 */
async function generate(page, prompt) {
  await page.getByLabel("Prompt").fill(prompt ?? "");
  await page.getByRole("button", { name: "Generate" }).click();
  // An image of an earlier generation may still be there.
  await page.locator("[data-stage] .track").waitFor();
  await page.locator("[data-stage] img").waitFor();
  await page.keyboard.press("Home");
}

/**
 * Reduces the colours: the file is much smaller and looks almost the same.
 * @param {Buffer} png
 */
async function shrink(png) {
  return await sharp(png).png({ palette: true, colours: COLOURS, effort: 10 }).toBuffer();
}
