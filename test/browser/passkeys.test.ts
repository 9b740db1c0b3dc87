import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { launchBrowser } from "../../scripts/browser.mjs";
import { expectPresentable, openPage } from "./look.ts";

/** An IP address has no passkeys, so the same service is opened by its name. */
const site = inject("site").replace("127.0.0.1", "localhost");

let browser: Browser;

beforeAll(async () => {
  browser = await launchBrowser();
});

afterAll(async () => {
  await browser.close();
});

/** Gives the page a device with a screen lock, on which passkeys are kept. @returns a way to fail or pass its lock */
async function plugIn(page: Page) {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  const { authenticatorId } = await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: {
      ...{ protocol: "ctap2", transport: "internal", automaticPresenceSimulation: true },
      ...{ hasResidentKey: true, hasUserVerification: true, isUserVerified: true },
    },
  });
  return async (isUserVerified: boolean) => {
    await devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  };
}

async function signInWithPassword(page: Page) {
  await page.goto(`${site}/sign-in`);
  await page.getByLabel("Email").fill("demo@example.com");
  await page.getByLabel("Password").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.waitForURL(/\/account$/);
}

it("adds a passkey, signs in with it, and is refused once it is removed", async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const { page, complaints } = await openPage(context);
  const unlock = await plugIn(page);
  await signInWithPassword(page);

  await page.goto(`${site}/account/settings`);
  await page.getByText("Add a passkey").click();
  await expectPresentable(page, "passkey-name");
  await page.getByLabel("Name of the passkey").fill("my laptop");
  await page.locator("#passkey_password").fill(inject("demoPassword"));
  await unlock(false);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("No passkey was used. Try again.").waitFor();
  await expectPresentable(page, "passkey-new");
  await unlock(true);
  await page.getByRole("button", { name: "Create passkey" }).click();
  await page.getByText("Passkey added.").waitFor();
  await page.getByText("my laptop").waitFor();
  await expectPresentable(page, "passkey-added");

  await page.goto(`${site}/language/tr?next=/account/settings`);
  await page.getByText("Geçiş anahtarı ekle").click();
  await expectPresentable(page, "passkey-tr");
  await page.goto(`${site}/language/en?next=/account/settings`);

  // The same device again.
  await page.getByText("Add a passkey").click();
  await page.locator("#passkey_password").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("Your account already has a passkey on this device.").waitFor();

  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.evaluate("localStorage.clear()");
  await page.goto(`${site}/sign-in?next=/account/keys`);
  await expectPresentable(page, "passkey-sign-in");
  await unlock(false);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("No passkey was used. Try again.").waitFor();
  await unlock(true);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.waitForURL(`${site}/account/keys`);

  // The browser remembers that it has used one, and offers it in the field: the device accepts at once.
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.goto(`${site}/sign-in`);
  await page.waitForURL(`${site}/account`);

  await page.goto(`${site}/account/settings`);
  await page.getByRole("button", { name: "Remove: my laptop" }).click();
  await page.getByText("Passkey removed.").waitFor();
  expect(await page.getByText("my laptop").count()).toBe(0);
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.evaluate("localStorage.clear()");
  await page.goto(`${site}/sign-in`);
  expect(complaints).toEqual([]);
  await page.getByRole("button", { name: "Sign in with a passkey" }).click();
  await page.getByText("Sign-in with the passkey failed.").waitFor();
  expect(complaints).toEqual([expect.stringContaining("422")]);
  await context.close();
});

it("is not offered by a browser without passkeys, nor at an IP address", async () => {
  const context = await browser.newContext();
  const { page, complaints } = await openPage(context);
  await context.addInitScript("delete window.PublicKeyCredential");
  await page.goto(`${site}/sign-in`);
  await page.waitForLoadState("networkidle");
  expect(await page.getByRole("button", { name: "passkey" }).isVisible()).toBe(false);
  await signInWithPassword(page);
  await page.goto(`${site}/account/settings`);
  await page.getByText("Add a passkey").click();
  await page.locator("#passkey_password").fill(inject("demoPassword"));
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("This browser cannot use passkeys here.").waitFor();

  await page.goto(`${inject("site")}/sign-in`);
  expect(await page.getByRole("button", { name: "passkey" }).count()).toBe(0);
  expect(complaints).toEqual([]);
  await context.close();
});
