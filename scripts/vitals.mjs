/** `npm run vitals`: measures how fast each page is on a slow phone, and what it weighs. Writes docs/vitals.md. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { createKey, launchBrowser, PAGES, signUp, startFreshService } from "./browser.mjs";
import { Failure, install, main, root } from "./lib.mjs";
import { accepted, callApi } from "./service/api.mjs";

/** Beside those of the screenshots. */
const MORE = ["/tr", "/docs/changelog"];
const ROUNDS = 3;
const PATIENCE_MS = 60_000;
const VIEWPORT = { width: 390, height: 844 };
const MEGABITS = 1.6;
const LATENCY_MS = 150;
const CPU_SLOWDOWN = 4;
/** After the last response, for late paints and shifts. */
const SETTLE_MS = 300;
const GALLERY = 20;
const BITS_PER_BYTE = 8;

/** Read from the page when nothing is loading any more. */
const OBSERVE = `globalThis.vitals = { largest: 0, shift: 0 };
  const observe = (type, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  observe("largest-contentful-paint", ({ startTime }) => { vitals.largest = startTime; });
  observe("layout-shift", ({ value, hadRecentInput }) => { if (!hadRecentInput) vitals.shift += value; });`;
const PAINTED = `performance.getEntriesByName("first-contentful-paint").length > 0`;
const READ = `({ ...vitals, first: performance.getEntriesByName("first-contentful-paint")[0].startTime })`;

const Vitals = z.object({ first: z.number(), largest: z.number(), shift: z.number() });

/** @typedef {z.infer<typeof Vitals> & { script: number, total: number }} Measured milliseconds and bytes */

await main(async (stop) => {
  await install({ stop, say: console.log });
  const service = await startFreshService();
  const browser = await launchBrowser();
  try {
    const signedIn = await prepareAccount(browser, service.origin);
    /** @type {string[]} */
    const rows = [];
    for (const path of [...PAGES.map(([, path]) => path), ...MORE]) {
      /** @type {Measured[]} */
      const rounds = [];
      for (let round = 0; round < ROUNDS; round++) {
        stop.throwIfAborted();
        const state = path.startsWith("/account") ? signedIn : undefined;
        const context = await browser.newContext({
          viewport: VIEWPORT,
          ...(state && { storageState: state }),
        });
        rounds.push(await measure(await context.newPage(), service.origin + path));
        await context.close();
      }
      rows.push(render(path, rounds));
      console.log(rows.at(-1));
    }
    writeFileSync(join(root, "docs/vitals.md"), report(rows, browser.version()));
    return 0;
  } catch (error) {
    throw stop.aborted
      ? error
      : new Failure(`The measurement failed: ${error instanceof Error ? error.message : error}`);
  } finally {
    await browser.close();
    await service.stop();
  }
});

/**
 * Creates a user with a gallery.
 * @param {import("playwright-core").Browser} browser
 * @param {string} origin
 * @returns the cookies of the user
 */
async function prepareAccount(browser, origin) {
  const context = await browser.newContext();
  const page = await context.newPage();
  await signUp(page, origin, "ada@example.com");
  const key = await createKey(page, origin, "my laptop");
  for (let at = 1; at <= GALLERY; at++) {
    const body = { model: "gpt-image-2", prompt: `a lighthouse at dusk, ${at}` };
    accepted(await callApi(`${origin}/api/v1/images/generations`, key, body));
  }
  const state = await context.storageState();
  await context.close();
  return state;
}

/**
 * Opens a page with an empty cache over the slow connection.
 * @param {import("playwright-core").Page} page
 * @param {string} url
 * @returns {Promise<Measured>}
 */
async function measure(page, url) {
  page.setDefaultTimeout(PATIENCE_MS);
  await page.addInitScript(OBSERVE);
  const client = await page.context().newCDPSession(page);
  const throughput = (MEGABITS * 1_000_000) / BITS_PER_BYTE;
  await client.send("Network.enable");
  await client.send("Network.emulateNetworkConditions", {
    ...{ offline: false, latency: LATENCY_MS },
    ...{ downloadThroughput: throughput, uploadThroughput: throughput },
  });
  await client.send("Emulation.setCPUThrottlingRate", { rate: CPU_SLOWDOWN });
  /** @type {Set<string>} */
  const scripts = new Set();
  const bytes = { script: 0, total: 0 };
  client.on("Network.responseReceived", ({ requestId, type }) => {
    if (type === "Script") scripts.add(requestId);
  });
  client.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    bytes.total += encodedDataLength;
    if (scripts.has(requestId)) bytes.script += encodedDataLength;
  });
  await page.goto(url, { waitUntil: "networkidle" });
  await page.waitForFunction(PAINTED);
  await page.waitForTimeout(SETTLE_MS);
  return { ...Vitals.parse(await page.evaluate(READ)), ...bytes };
}

/** @param {string} path @param {Measured[]} rounds */
function render(path, rounds) {
  /** @param {keyof Measured} name @param {number} unit @param {number} digits */
  const median = (name, unit, digits) => {
    const sorted = rounds.map((round) => round[name]).sort((a, b) => a - b);
    return ((sorted[Math.floor(sorted.length / 2)] ?? 0) / unit).toFixed(digits);
  };
  const times = [median("first", 1_000, 1), median("largest", 1_000, 1), median("shift", 1, 3)];
  return `| \`${path}\` | ${[...times, median("script", 1_000, 1), median("total", 1_000, 0)].join(" | ")} |`;
}

/** @param {string[]} rows @param {string} version */
function report(rows, version) {
  return `# Page vitals

Generated by \`npm run vitals\` on ${new Date().toISOString().slice(0, 10)}, in Chromium ${version} with a window of ${VIEWPORT.width} × ${VIEWPORT.height}, against the
local service. Connection: ${MEGABITS} Mbit/s, ${LATENCY_MS} ms latency. CPU: ${CPU_SLOWDOWN} times slower. The cache is empty. Each number is the median
of ${ROUNDS} visits. The account has ${GALLERY} generations. Bytes are those of the responses with their headers.

| page | first contentful paint, s | largest contentful paint, s | layout shift | scripts, kB | all, kB |
|---|--:|--:|--:|--:|--:|
${rows.join("\n")}
`;
}
