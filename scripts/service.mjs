/** The local service: started on wrangler's local runtime, with its state in a directory. */
import { accessSync, constants, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { Failure, install, root } from "./lib.mjs";
import { ensureDemoAccount } from "./service/demo-account.mjs";
import { startRuntime } from "./service/runtime.mjs";
import { ensureSecret, lock, migrate } from "./service/state.mjs";
import { startStripeDouble } from "./service/stripe-double.mjs";

const PORT_DEFAULT = 8787;
const ADMIN_TOKEN_LENGTH_MIN = 32;

/**
 * @typedef {{ port: number, origin: string, stateDirectory: string }} Settings
 * @typedef {import("./service/demo-account.mjs").DemoAccount} DemoAccount
 * @typedef {{ demo: DemoAccount, showOutput: () => void, died: Promise<never>, stop: () => Promise<void> }} Service
 */

/**
 * Reads PORT and STATE_DIR from the environment and creates the directory. A relative directory is relative to where
 * npm was called.
 * @returns {Settings}
 */
export function readSettings() {
  const text = process.env["PORT"] || String(PORT_DEFAULT);
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new Failure(`PORT must be a number from 1 to 65535, not "${text}".`);
  }
  const directory = process.env["STATE_DIR"];
  const stateDirectory = directory
    ? resolve(process.env["INIT_CWD"] ?? process.cwd(), directory)
    : join(root, ".state");
  try {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o700 });
    accessSync(stateDirectory, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw new Failure(
      `The state directory cannot be used: ${error instanceof Error ? error.message : error}`,
    );
  }
  return { port, origin: `http://127.0.0.1:${port}`, stateDirectory };
}

/**
 * Starts the service and returns when it is ready and the demo account exists. `stop` ends everything that was started,
 * at any time.
 * @param {Settings} settings
 * @param {{ stop: AbortSignal, say: (line: string) => void }} options
 * @returns {Promise<Service>}
 */
export async function startService(settings, { stop, say }) {
  const { port, stateDirectory } = settings;
  await requireFreePort(port);
  const unlock = lock(stateDirectory);
  try {
    await install({ stop, say });
    await migrate(stateDirectory, { stop, say });
    say("Starting…");
    const adminToken = process.env["ADMIN_TOKEN"] || ensureSecret(stateDirectory, "admin-token");
    if (adminToken.length < ADMIN_TOKEN_LENGTH_MIN) {
      throw new Failure(`ADMIN_TOKEN must have at least ${ADMIN_TOKEN_LENGTH_MIN} characters.`);
    }
    const authSecret = process.env["AUTH_SECRET"] || ensureSecret(stateDirectory, "auth-secret");
    // A public service must not offer test money.
    const isOwn = process.env["STRIPE_SECRET_KEY"] || process.env["PUBLIC_BASE_URL"];
    const stripe = isOwn ? null : await startShop(settings);
    const secrets = { ADMIN_TOKEN: adminToken, AUTH_SECRET: authSecret, ...stripe?.variables };
    const runtime = startRuntime(settings, secrets);
    const end = async () => {
      await runtime.stop();
      await stripe?.close();
      unlock();
    };
    stop.addEventListener("abort", () => void end(), { once: true });
    try {
      await Promise.race([runtime.ready, runtime.died]);
      const demo = await Promise.race([ensureDemoAccount(settings, adminToken), runtime.died]);
      stop.throwIfAborted();
      return { demo, showOutput: runtime.showOutput, died: runtime.died, stop: end };
    } catch (error) {
      await end();
      throw error;
    }
  } catch (error) {
    unlock();
    throw error;
  }
}

/**
 * Starts the double of Stripe, so that credits can be bought with test money.
 * @param {Settings} settings
 */
async function startShop({ origin }) {
  const double = await startStripeDouble({ webhookUrl: `${origin}/api/stripe/webhook` });
  return {
    variables: {
      STRIPE_SECRET_KEY: double.secretKey,
      STRIPE_WEBHOOK_SECRET: double.webhookSecret,
      STRIPE_BASE_URL: double.origin,
    },
    close: double.close,
  };
}

/** @param {number} port */
async function requireFreePort(port) {
  await new Promise((done, reject) => {
    const probe = createServer();
    probe.once("error", (error) => {
      const used = "code" in error && error.code === "EADDRINUSE";
      const next = port < 65_535 ? port + 1 : PORT_DEFAULT;
      reject(
        new Failure(
          used
            ? `Port ${port} is in use. Choose another: PORT=${next} npm start`
            : `Port ${port} cannot be used: ${error.message}`,
        ),
      );
    });
    probe.listen(port, "127.0.0.1", () => probe.close(done));
  });
}
