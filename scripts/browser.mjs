/** A browser on this machine and a service of its own to look at: for the browser tests and for the screenshots. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Failure } from "./lib.mjs";
import { startService } from "./service.mjs";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** No sandbox, as it needs what containers seldom give; only our own pages are opened. And no calls home. */
const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
/** Nothing is ever asked of the other sites: the buttons are to be seen, and where they lead. */
const SETTINGS = {
  SIGNUP_CREDITS: "200",
  GITHUB_CLIENT_ID: "id",
  GITHUB_CLIENT_SECRET: "secret",
  GOOGLE_CLIENT_ID: "id",
  GOOGLE_CLIENT_SECRET: "secret",
};

export const PASSWORD = "correct horse battery staple";

export async function launchBrowser() {
  const executablePath = process.env["CHROMIUM_PATH"] ?? BROWSERS.find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Failure(
      "There is no Chromium. Install it (Debian: apt-get install chromium), or set CHROMIUM_PATH.",
    );
  }
  return await chromium.launch({ executablePath, args: FLAGS.split(" ") });
}

/** A service on a free port, with a state of its own that is gone after `stop`. Whoever signs up has credits. */
export async function startFreshService() {
  const stateDirectory = mkdtempSync(join(tmpdir(), "gpt-image-hub-browser-"));
  const port = await freePort();
  const origin = `http://127.0.0.1:${port}`;
  const stop = new AbortController();
  const service = await withSettings(() =>
    startService({ port, origin, stateDirectory }, { stop: stop.signal, say: () => {} }),
  );
  return {
    origin,
    key: service.demo.key,
    async stop() {
      await service.stop();
      rmSync(stateDirectory, { recursive: true });
    },
  };
}

/**
 * A service reads its settings from the environment as it starts. What else runs in this process, tests of `npm start`
 * among them, must not have them.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function withSettings(work) {
  const before = { ...process.env };
  Object.assign(process.env, SETTINGS);
  try {
    return await work();
  } finally {
    for (const name of Object.keys(SETTINGS)) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before[name];
    }
  }
}

/**
 * Signs up as somebody new, who is then looking at their account.
 * @param {import("playwright-core").Page} page
 * @param {string} origin
 * @param {string} email
 */
export async function signUp(page, origin, email) {
  await page.goto(`${origin}/sign-up`);
  await page.getByLabel("Email").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.waitForURL(/\/account/);
}

/**
 * Has a key made on the page that makes them.
 * @param {import("playwright-core").Page} page
 * @param {string} origin
 * @param {string} name
 */
export async function createKey(page, origin, name) {
  await page.goto(`${origin}/account/keys`);
  await page.getByLabel("Name").fill(name);
  await page.getByRole("button", { name: "Create key" }).click();
  return (await page.locator("#api-key").textContent()) ?? "";
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Failure("No port is free.");
  return address.port;
}
