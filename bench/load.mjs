/** Runs a load of timed requests over a number of connections, and compares two loads. */
import { Pool } from "undici";
import { Failure } from "../scripts/lib.mjs";

const REQUEST_MS_MAX = 60_000;

/**
 * @typedef {{ method?: "GET" | "POST", path: string, headers: Record<string, string>, body?: string, status?: number }} Call
 * @typedef {{ perSecond: number, cpuMs: number, milliseconds: number[], answers: string[] }} Load
 * `cpuMs` is the processor time of one request in the measured process; `milliseconds` are in ascending order
 * @typedef {{ median: number, low: number, high: number }} Spread
 */

/**
 * Sends `count` requests. Each connection sends its next one when it has the whole response to the previous one.
 * @param {{ origin: string, cpuMs?: () => number }} target
 * @param {{ connections: number, count: number, call: (index: number) => Call, keep?: boolean }} options
 * @returns {Promise<Load>}
 */
export async function drive({ origin, cpuMs = () => 0 }, { connections, count, call, keep = false }) {
  const pool = new Pool(origin, { connections, headersTimeout: REQUEST_MS_MAX, bodyTimeout: REQUEST_MS_MAX });
  /** @type {number[]} */
  const milliseconds = [];
  /** @type {string[]} */
  const answers = [];
  let next = 0;
  const work = async () => {
    for (let index = next++; index < count; index = next++) {
      const { method = "GET", path, headers, body = null, status = 200 } = call(index);
      const began = performance.now();
      const response = await pool.request({ method, path, headers, body });
      if (keep || response.statusCode !== status) {
        const text = await response.body.text();
        if (response.statusCode !== status) throw new Failure(`${path}: ${response.statusCode} ${text}`);
        answers.push(text);
      } else for await (const _ of response.body);
      milliseconds.push(performance.now() - began);
    }
  };
  const cpuBefore = cpuMs();
  const began = performance.now();
  try {
    await Promise.all(Array.from({ length: connections }, work));
  } finally {
    await pool.destroy();
  }
  const perSecond = (count / (performance.now() - began)) * 1000;
  const cpu = (cpuMs() - cpuBefore) / count;
  return { perSecond, cpuMs: cpu, milliseconds: milliseconds.sort((a, b) => a - b), answers };
}

/**
 * Runs the contestants in turn for a number of rounds, in an order that rotates, so that other load of the machine affects
 * all of them equally. The first round warms up and does not count.
 * @template {string} Name
 * @param {{ rounds: number, stop: AbortSignal }} options
 * @param {Record<Name, () => Promise<Load>>} contestants
 * @returns {Promise<Record<Name, Load>[]>} one for each round
 */
export async function interleave({ rounds, stop }, contestants) {
  const names = /** @type {Name[]} */ (Object.keys(contestants));
  const results = [];
  for (let round = -1; round < rounds; round++) {
    const loads = /** @type {Record<Name, Load>} */ ({});
    const first = Math.max(0, round) % names.length;
    stop.throwIfAborted();
    for (const name of [...names.slice(first), ...names.slice(0, first)])
      loads[name] = await contestants[name]();
    if (round >= 0) results.push(loads);
  }
  return results;
}

/** @param {number[]} values @returns {Spread} */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: quantile(sorted, 0.5), low: sorted[0] ?? Number.NaN, high: sorted.at(-1) ?? Number.NaN };
}

/**
 * @param {number[]} ascending
 * @param {number} part
 */
export function quantile(ascending, part) {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * part))] ?? Number.NaN;
}
