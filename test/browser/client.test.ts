import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { root } from "../../scripts/lib.mjs";

/** The npm package's client in a page, as its modules are published. */
const CLIENT = join(root, "clients/typescript");
const site = inject("site");

let browser: Browser;

beforeAll(async () => {
  execFileSync(process.execPath, [join(CLIENT, "build.mjs")]);
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
});

/** The script of the page. */
const SCRIPT = `
import { createClient, InvalidRequestError } from "/client/index.js";

const { site, key } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const client = createClient({ apiKey: key, baseUrl: site });
const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };

async function run() {
  const { id, images, usage } = await client.generate(asked);
  const statuses = [];
  for await (const { status } of client.events(id)) statuses.push(status);
  const bytes = await client.download(images[0]);
  const error = await client.submit({ ...asked, size: "1x1" }).catch((reason) => reason);
  const isRefusal = error instanceof InvalidRequestError && error.param === "size" && error.requestId !== null;
  return { credits: usage.credits, statuses, start: [...bytes.slice(1, 4)], isRefusal };
}

window.result = run();
`;

it("makes and downloads a picture in a page", async () => {
  const page = await browser.newPage();
  const here = `${site}/client`;
  await page.route(`${here}/**`, async (route) => {
    const pathname = new URL(route.request().url()).pathname.replace("/client", "");
    if (pathname === "/")
      return await route.fulfill({
        contentType: "text/html",
        body: '<script type="module" src="/client/page.js"></script>',
      });
    const body = pathname === "/page.js" ? SCRIPT : readFileSync(join(CLIENT, "dist", pathname), "utf8");
    return await route.fulfill({ contentType: "text/javascript", body });
  });
  await page.goto(`${here}/#${new URLSearchParams({ site, key: inject("key") })}`);
  await page.waitForFunction("window.result");
  expect(await page.evaluate("window.result")).toEqual({
    credits: 8,
    statuses: ["succeeded"],
    start: [0x50, 0x4e, 0x47],
    isRefusal: true,
  });
  await page.close();
});
