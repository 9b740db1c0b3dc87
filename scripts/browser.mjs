/** A browser and a fresh service, for the browser tests and the screenshots. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Failure } from "./lib.mjs";
import { startService } from "./service.mjs";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
/** Without a sandbox, which most containers do not support: only our own pages are opened. And without telemetry. */
const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";
export const ADMIN_TOKEN = "operator-token-of-browser-tests-1";
/**
 * Chromium prepares the popups of its address bar for each new page, which takes longer than to load most pages.
 * Playwright's own flag of this name has no effect beside this one, so its features that concern pages are here, too.
 */
const FEATURES_OFF = [
  ...["WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "PreloadTopChromeWebUI"],
  ...[
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "ThirdPartyStoragePartitioning",
    "PreconnectToSearch",
  ],
  ...["MediaRouter", "OptimizationHints", "LensOverlay", "AimEnabled", "NetworkTimeServiceQuerying"],
  ...["AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose"],
];
/** GitHub, Google and the operator are configured, so that all buttons, links and pages are there. None is called. */
const SETTINGS = {
  ADMIN_TOKEN,
  SIGNUP_CREDITS: "200",
  OPERATOR_NAME: "Example Ltd",
  SUPPORT_EMAIL: "support@example.com",
  STATUS_URL: "https://status.example.com",
  GITHUB_CLIENT_ID: "id",
  GITHUB_CLIENT_SECRET: "secret",
  GOOGLE_CLIENT_ID: "id",
  GOOGLE_CLIENT_SECRET: "secret",
};

export const PASSWORD = "correct horse battery staple";

/**
 * The pages of the screenshots and of the vitals.
 * @type {[name: string, path: string, options?: { dark: boolean }][]}
 */
export const PAGES = [
  ["landing", "/"],
  ["docs", "/docs"],
  ["docs-tr", "/tr/docs"],
  ["reference", "/docs/reference"],
  ["reference-api", "/docs/reference/api"],
  ["reference-openai", "/docs/reference/openai"],
  ["reference-operator", "/docs/reference/operator"],
  ["not-found", "/nothing"],
  ["sign-in", "/sign-in"],
  ["sign-up", "/sign-up"],
  ["forgot-password", "/forgot-password"],
  ["reset-password", "/reset-password?token=x"],
  ["overview", "/account", { dark: true }],
  ["playground", "/account/playground", { dark: true }],
  ["generations", "/account/generations"],
  ["keys", "/account/keys"],
  ["credits", "/account/credits"],
  ["settings", "/account/settings"],
];

export async function launchBrowser() {
  const executablePath = process.env["CHROMIUM_PATH"] ?? BROWSERS.find((path) => existsSync(path));
  if (executablePath === undefined) {
    throw new Failure(
      "Chromium was not found. Install it (Debian: apt-get install chromium), or set CHROMIUM_PATH.",
    );
  }
  const args = [...FLAGS.split(" "), `--disable-features=${FEATURES_OFF}`];
  return await chromium.launch({ executablePath, args });
}

/** Starts a service on a free port with a temporary state, which `stop` removes. New users get credits. */
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
    testKey: service.demo.testKey ?? "",
    demoPassword: service.demo.password ?? "",
    async stop() {
      await service.stop();
      rmSync(stateDirectory, { recursive: true });
    },
  };
}

/**
 * Runs work with the settings in the environment, which a service reads when it starts. Other code in this process must
 * not see them.
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
 * Signs up a new user and opens the account.
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
 * Creates an API key on its page.
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
  if (address === null || typeof address === "string") throw new Failure("No free port was found.");
  return address.port;
}
