/** The demo account of a local service. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Failure } from "../lib.mjs";
import { accepted, callApi, numberOf, textOf } from "./api.mjs";
import { readIfExists, writePrivate } from "./state.mjs";

const DEMO_CREDITS = 1000;
const DEMO_EMAIL = "demo@example.com";
const DEMO_PASSWORD_BYTES = 12;
/** The status of a successful sign-up, which redirects to the account. */
const SIGNED_UP = 303;

/**
 * @typedef {{ key: string, testKey: string | undefined, credits: number, email: string, password: string | undefined }} DemoAccount
 * @typedef {import("../service.mjs").Settings} Settings
 */

/**
 * The demo account of a service that already runs with this state, or undefined.
 * @param {Settings} settings
 * @returns {Promise<DemoAccount | undefined>}
 */
export async function findRunning({ origin, stateDirectory }) {
  const key = readIfExists(demoKeyFile(stateDirectory));
  if (key === undefined) return undefined;
  try {
    const answer = await callApi(`${origin}/api/v1/credits`, key);
    return answer.status === 200 ? demoAccount(stateDirectory, key, answer.body) : undefined;
  } catch (error) {
    // Nothing listens on the port, or another program.
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/**
 * Creates the demo user, its credits and its keys through the operator API. Any step may be done already, because the key
 * files and the database can be lost separately, and older releases made no test key.
 * @param {Settings} settings
 * @param {string} adminToken
 * @returns {Promise<DemoAccount>}
 */
export async function ensureDemoAccount(settings, adminToken) {
  const found = await findRunning(settings);
  if (found?.testKey) return found;
  await signUpDemo(settings);
  const users = `${settings.origin}/api/admin/users`;
  const created = await callApi(users, adminToken, { email: DEMO_EMAIL, name: "Demo" });
  const userId =
    created.status === 409
      ? textOf(
          (await callApi(`${users}?email=${encodeURIComponent(DEMO_EMAIL)}`, adminToken)).body,
          "data",
          0,
          "id",
        )
      : textOf(accepted(created), "id");
  const granted = await callApi(`${users}/${userId}/credits`, adminToken, {
    id: "demo",
    credits: DEMO_CREDITS,
    reason: "Demo account",
  });
  accepted(granted);
  /** @param {{ name: string, mode: string }} body */
  const issue = async (body) =>
    textOf(accepted(await callApi(`${users}/${userId}/api_keys`, adminToken, body)), "api_key");
  const key = found?.key ?? (await issue({ name: "demo", mode: "live" }));
  writePrivate(demoKeyFile(settings.stateDirectory), key);
  writePrivate(testKeyFile(settings.stateDirectory), await issue({ name: "demo test", mode: "test" }));
  const balance = await callApi(`${settings.origin}/api/v1/credits`, key);
  return demoAccount(settings.stateDirectory, key, accepted(balance));
}

/**
 * Gives the demo account a password, so that a developer can sign in. The password is stored in the state directory,
 * which contains the operator token anyway. If mail is sent or sign-in is not configured, the account has no password.
 * @param {Settings} settings
 */
async function signUpDemo({ origin, stateDirectory }) {
  if (process.env["MAIL_API_KEY"] && process.env["MAIL_FROM"]) return;
  const password = randomBytes(DEMO_PASSWORD_BYTES).toString("base64url");
  const response = await fetch(`${origin}/sign-up`, {
    method: "POST",
    headers: { origin },
    body: new URLSearchParams({ email: DEMO_EMAIL, password }),
    redirect: "manual",
  });
  await response.body?.cancel();
  if (response.status === SIGNED_UP) writePrivate(demoPasswordFile(stateDirectory), password);
}

/**
 * @param {string} stateDirectory
 * @param {string} key
 * @param {unknown} balance as the API returns it
 * @returns {DemoAccount}
 */
function demoAccount(stateDirectory, key, balance) {
  const password = readIfExists(demoPasswordFile(stateDirectory));
  const testKey = readIfExists(testKeyFile(stateDirectory));
  return { key, testKey, credits: numberOf(balance, "credits"), email: DEMO_EMAIL, password };
}

/** @param {string} stateDirectory */
function demoPasswordFile(stateDirectory) {
  return join(stateDirectory, "demo-password");
}

/** @param {string} stateDirectory */
function demoKeyFile(stateDirectory) {
  return join(stateDirectory, "demo-key");
}

/** @param {string} stateDirectory */
function testKeyFile(stateDirectory) {
  return join(stateDirectory, "demo-test-key");
}
