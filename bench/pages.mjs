/**
 * `npm run bench:pages`: how long it takes from the landing page to a first picture, and whether the time of a refused
 * sign-in tells who has an account. Writes bench/pages.md.
 */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { launchBrowser, PASSWORD, signUp, startFreshService } from "../scripts/browser.mjs";
import { Failure, install, main, root } from "../scripts/lib.mjs";

const VISITORS = 5;
const SIGN_INS = 40;
/** One address may be tried ten times. */
const SIGN_INS_PER_ADDRESS = 8;

await main(async (stop) => {
  await install({ stop, say: console.log });
  const service = await startFreshService();
  const browser = await launchBrowser();
  try {
    const firsts = [];
    for (let at = 0; at < VISITORS; at++) firsts.push(await firstPicture(browser, service.origin, at));
    const refusals = await timeRefusals(browser, service.origin);
    const report = render({ firsts, refusals });
    console.log(report);
    writeFileSync(join(root, "bench/pages.md"), report);
    return 0;
  } finally {
    await browser.close();
    await service.stop();
  }
});

/**
 * @typedef {{ landing: number, account: number, picture: number }} FirstPicture seconds since the beginning
 * @typedef {{ wrong: number[], unknown: number[] }} Refusals milliseconds
 */

/**
 * Somebody who has never been here, and whose browser has kept nothing: everything but the typing and the thinking.
 * @param {import("playwright-core").Browser} browser
 * @param {string} origin
 * @param {number} at
 * @returns {Promise<FirstPicture>}
 */
async function firstPicture(browser, origin, at) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const page = await context.newPage();
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  await page.goto(origin);
  const landing = seconds();
  await page.getByRole("main").getByRole("link", { name: "Create an account" }).click();
  await page.getByLabel("Email").fill(`visitor${at}@example.com`);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("link", { name: "Generate an image" }).click();
  await page.waitForURL(/playground/);
  const account = seconds();
  await page.getByLabel("Prompt").fill("a lighthouse at dusk");
  await page.getByRole("button", { name: "Generate" }).click();
  await page.locator("[data-stage] img").evaluate("(image) => image.decode()");
  const picture = seconds();
  await context.close();
  return { landing, account, picture };
}

/**
 * In turn, so that whatever else the machine does is in both.
 * @param {import("playwright-core").Browser} browser
 * @param {string} origin
 * @returns {Promise<Refusals>}
 */
async function timeRefusals(browser, origin) {
  const context = await browser.newContext();
  const page = await context.newPage();
  /** @type {Refusals} */
  const times = { wrong: [], unknown: [] };
  for (let at = 0; at < SIGN_INS; at++) {
    const email = `owner${Math.floor(at / SIGN_INS_PER_ADDRESS)}@example.com`;
    if (at % SIGN_INS_PER_ADDRESS === 0) {
      await context.clearCookies();
      await signUp(page, origin, email);
    }
    times.wrong.push(await timeRefusal(origin, email, at));
    times.unknown.push(await timeRefusal(origin, `nobody${at}@example.com`, at));
  }
  await context.close();
  return times;
}

/**
 * @param {string} origin
 * @param {string} email
 * @param {number} at tells callers apart, as one address may try so often only
 */
async function timeRefusal(origin, email, at) {
  const began = performance.now();
  const response = await fetch(`${origin}/sign-in`, {
    method: "POST",
    headers: { origin, "cf-connecting-ip": `192.0.2.${at}` },
    body: new URLSearchParams({ email, password: "not the password" }),
  });
  await response.text();
  if (response.status !== 422) throw new Failure(`A wrong password was answered ${response.status}.`);
  return performance.now() - began;
}

/**
 * @param {{ firsts: FirstPicture[], refusals: Refusals }} measured
 */
function render({ firsts, refusals }) {
  const part = (/** @type {keyof FirstPicture} */ name) =>
    spread(
      firsts.map((first) => first[name]),
      1,
    );
  return `# Pages

Written by \`npm run bench:pages\` on ${cpus().length} cores, Node ${process.versions.node}. Each number is a median, with the least and the most behind it.

## From the landing page to a first picture

${VISITORS} visitors one after another, in Chromium, on this machine, with the built-in provider: seconds without the time for typing and thinking. Four clicks: create an account, with an address and a password; make a picture; a prompt; make the picture.

| the landing page is there | the playground of the new account is there | the picture is there |
|--:|--:|--:|
| ${part("landing")} | ${part("account")} | ${part("picture")} |

## A refused sign-in

Milliseconds until the answer, ${SIGN_INS} times each, in turn.

| a wrong password | an address that nobody has |
|--:|--:|
| ${spread(refusals.wrong, 0)} | ${spread(refusals.unknown, 0)} |
`;
}

/** @param {number[]} values @param {number} digits */
function spread(values, digits) {
  const sorted = values.toSorted((a, b) => a - b);
  const [middle, least, most] = [sorted.length >> 1, 0, sorted.length - 1].map((at) =>
    sorted[at]?.toFixed(digits),
  );
  return middle === undefined ? "not measured" : `${middle} (${least}–${most})`;
}
