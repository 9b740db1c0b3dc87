/** HTTP calls that may find nobody, or lose their answer half-way. */
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../lib.mjs";
import { pick } from "../service.mjs";

const TRIES_MAX = 5;
const AGAIN_AFTER_MS = 200;

/**
 * @typedef {{ kind: "answer", status: number, body: unknown }} Answer
 * @typedef {Answer | { kind: "lost" } | { kind: "unreached" }} Reply
 * `lost`: it may have been carried out. `unreached`: nobody listened, so it was not.
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
    const response = await fetch(url, {
      ...{ headers, signal },
      ...(body === undefined ? {} : { method: "POST", body }),
    });
    return { kind: "answer", status: response.status, body: await response.json() };
  } catch (error) {
    return { kind: pick(error, "cause", "code") === "ECONNREFUSED" ? "unreached" : "lost" };
  }
}

/**
 * The body of an answer that must come, from a product that nobody kills now.
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
  throw new Failure(`${url} gave no usable answer: ${JSON.stringify(reply)}`);
}
