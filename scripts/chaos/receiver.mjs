/** A receiver of webhooks on loopback, which outlives every kill of the service. */
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../lib.mjs";
import { randomFrom } from "./random.mjs";

/** How the first call of a webhook is answered. Every later call gets a 204 at once. */
const FAILING_PART = 0.15;
const RESET_PART = 0.05;
const SLOW_PART = 0.3;
const SLOW_MS = /** @type {const} */ ([50, 1_500]);
const BODY_CHARACTERS_MAX = 100_000;
const SIGNED_WITHIN_SECONDS = 60;

/**
 * @typedef {{
 *   path: string, id: string, timestamp: string, signature: string, body: string, receivedAt: number, status: number | null,
 * }} Call `status`: of the answer; null when the connection broke before its end
 * @typedef {{ url: string, calls: Call[], close: () => Promise<void> }} Receiver
 */

/**
 * @param {number} seed
 * @returns {Promise<Receiver>}
 */
export async function startReceiver(seed) {
  const random = randomFrom(seed);
  /** @type {Call[]} */
  const calls = [];
  const server = createServer(async (request, response) => {
    let body = "";
    try {
      for await (const chunk of request.setEncoding("utf8")) {
        if (body.length < BODY_CHARACTERS_MAX) body += chunk;
      }
    } catch {
      // The sender was killed, so nothing was delivered.
      return;
    }
    const header = (/** @type {string} */ name) => String(request.headers[name] ?? "");
    const id = header("webhook-id");
    const isFirst = !calls.some((call) => call.id === id);
    /** @type {Call} */
    const call = {
      ...{ path: request.url ?? "", id, timestamp: header("webhook-timestamp"), body },
      ...{ signature: header("webhook-signature"), receivedAt: Date.now(), status: null },
    };
    calls.push(call);
    response.on("close", () => {
      if (response.writableFinished) call.status = response.statusCode;
    });
    if (isFirst && random.chance(SLOW_PART)) await sleep(random.between(...SLOW_MS));
    if (isFirst && random.chance(RESET_PART)) response.destroy();
    else response.writeHead(isFirst && random.chance(FAILING_PART) ? 500 : 204).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Failure("The receiver has no port.");
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Whether one of the signatures is valid: HMAC-SHA256, as Standard Webhooks 1.0.0 defines it.
 * @param {Pick<Call, "id" | "timestamp" | "signature" | "body" | "receivedAt">} call
 * @param {string} secret `whsec_` and the key in base64
 */
export function isSigned({ id, timestamp, signature, body, receivedAt }, secret) {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  const isRecent = Math.abs(receivedAt / 1000 - Number(timestamp)) <= SIGNED_WITHIN_SECONDS;
  return isRecent && signature.split(" ").includes(`v1,${expected}`);
}
