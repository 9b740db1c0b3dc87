/** HTTP calls to a service that may be down, or killed before it responds. */
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../lib.mjs";
import { pick } from "../service/api.mjs";

const TRIES_MAX = 5;
/** Longer than any call waits for its response. */
const CALL_MS_MAX = 240_000;
const AGAIN_AFTER_MS = 200;

/**
 * @typedef {{ kind: "answer", status: number, body: unknown }} Answer
 * @typedef {Answer | { kind: "lost" } | { kind: "unreached" }} Reply
 * `lost`: the request may have been carried out. `unreached`: nothing listened, so it was not.
 */

/**
 * @param {string} url
 * @param {string} bearer
 * @param {{ json?: unknown, form?: FormData, idempotencyKey?: string | null, signal?: AbortSignal | null }} [request] a GET unless there is something to send
 * @returns {Promise<Reply>}
 */
export async function call(url, bearer, { json, form, idempotencyKey = null, signal = null } = {}) {
  /** @type {Record<string, string>} */
  const headers = { authorization: `Bearer ${bearer}` };
  if (json !== undefined) headers["content-type"] = "application/json";
  if (idempotencyKey !== null) headers["idempotency-key"] = idempotencyKey;
  const body = form ?? (json === undefined ? undefined : JSON.stringify(json));
  try {
    return await bounded(signal, async (end) => {
      const response = await fetch(url, {
        ...{ headers, signal: end },
        ...(body === undefined ? {} : { method: "POST", body }),
      });
      return { kind: "answer", status: response.status, body: await response.json() };
    });
  } catch (error) {
    return { kind: pick(error, "cause", "code") === "ECONNREFUSED" ? "unreached" : "lost" };
  }
}

/**
 * Rejects when it is aborted or takes too long, even if the work never settles: a fetch whose server is killed may not
 * settle even when it is aborted.
 * @template T
 * @param {AbortSignal | null} signal
 * @param {(end: AbortSignal) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function bounded(signal, work) {
  const limit = AbortSignal.timeout(CALL_MS_MAX);
  const end = signal ? AbortSignal.any([signal, limit]) : limit;
  /** @type {Promise<never>} */
  const ended = new Promise((_, reject) => {
    if (end.aborted) reject(end.reason);
    end.addEventListener("abort", () => reject(end.reason), { once: true });
  });
  return await Promise.race([work(end), ended]);
}

/**
 * A response that must come, because the service is not killed now.
 * @param {string} url
 * @param {string} bearer
 * @param {{ json?: unknown, statuses?: number[] }} [request]
 * @returns {Promise<Answer>}
 */
export async function mustCall(url, bearer, { json, statuses = [200, 201] } = {}) {
  /** @type {Reply} */
  let reply = { kind: "unreached" };
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    if (attempt > 0) await sleep(AGAIN_AFTER_MS * 2 ** attempt);
    reply = await call(url, bearer, json === undefined ? {} : { json });
    if (reply.kind === "answer" && statuses.includes(reply.status)) return reply;
  }
  throw new Failure(`${url} gave no usable response: ${JSON.stringify(reply)}`);
}
