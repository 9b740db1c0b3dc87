/**
 * `npm run bench:scale`: what async generations wait for as more come than the provider takes or the consumers run; a
 * simulation, the same at every run, whose table stands in docs/scale.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomFrom } from "../scripts/chaos/random.mjs";

/** How long generations come; whoever is still waiting then is followed to the end. */
const HOURS = 2;
/** `PROVIDER_ATTEMPTS` and `QUEUE_DEADLINE_SECONDS`, as they are by default. */
const CALLS = 3;
const QUEUE_SECONDS = 3_600;
/** When the account sends again what has not begun: after 30 s, then doubling to 10 min, in seconds from acceptance. */
const SENT_AT = [0, 30, 90, 210, 450, 930, 1_530, 2_130, 2_730, 3_330];
/** What a message takes whose generation has begun by then. */
const STALE_SECONDS = 0.02;
/** A provider's time, log-normal: half within 58.7 s, 95 % within 142.8 s (lumenfall.ai on gpt-image-2, 2026-11). */
const MEDIAN_SECONDS = 58.7;
const SIGMA = Math.log(142.8 / 58.7) / 1.645;
const SECOND_BITS = 1_000_000;

/**
 * @typedef {{ what: string, consumers: number, batch: number, quotaPerMinute: number }} Setting `batch` is the messages
 * that a consumer takes at once; it takes more when all of them are done
 * @typedef {{ succeeded: number, median: number, p95: number, consumersBusy: number }} Outcome
 * `succeeded` and `consumersBusy` are parts of 1, `median` and `p95` seconds from acceptance to the pictures
 */

const NO_QUOTA = Number.POSITIVE_INFINITY;
/** @type {Setting[]} */
const SETTINGS = [
  { what: "as configured, a provider of 250 a minute", consumers: 250, batch: 5, quotaPerMinute: 250 },
  { what: "`max_concurrency` 80, the same provider", consumers: 80, batch: 5, quotaPerMinute: 250 },
  { what: "`max_batch_size` 1, the same provider", consumers: 250, batch: 1, quotaPerMinute: 250 },
  { what: "as configured, a provider without a limit", consumers: 250, batch: 5, quotaPerMinute: NO_QUOTA },
];
const LOADS = [100, 200, 300, 600, 1_200];

/**
 * Two hours of async generations that come by chance, so many a minute at the mean.
 * @param {Setting} setting
 * @param {number} perMinute
 * @returns {Outcome}
 */
export function simulate({ consumers, batch, quotaPerMinute }, perMinute) {
  const random = randomFrom(perMinute);
  const chance = () => (random.between(0, SECOND_BITS - 1) + 0.5) / SECOND_BITS;
  const arrivals = [];
  const gap = () => (-Math.log(chance()) * 60) / perMinute;
  for (let at = gap(); at < HOURS * 3_600; at += gap()) arrivals.push(at);
  const messages = arrivals
    .flatMap((arrived, id) => SENT_AT.map((after) => ({ id, arrived, sent: arrived + after })))
    .sort((a, b) => a.sent - b.sent);
  /** @type {Map<number, number>} when each generation began, or was given up */
  const beganAt = new Map();
  const freeAt = Array.from({ length: consumers }, () => 0);
  /** @type {Map<number, number>} how many pictures the provider has begun in each minute */
  const begun = new Map();
  /** @type {number[]} */
  const waits = [];
  let worked = 0;
  // What had begun by then was not sent again.
  const wasSent = ({ id = 0, sent = 0 }) => (beganAt.get(id) ?? Number.POSITIVE_INFINITY) > sent;
  for (let next = 0; next < messages.length; ) {
    const head = messages[next];
    if (head && !wasSent(head)) {
      next++;
      continue;
    }
    const consumer = freeAt.indexOf(Math.min(...freeAt));
    const start = Math.max(freeAt[consumer] ?? 0, head?.sent ?? 0);
    let end = start;
    for (let taken = 0; taken < batch; next++) {
      const message = messages[next];
      if (message === undefined || message.sent > start) break;
      if (!wasSent(message)) continue;
      taken++;
      if (beganAt.has(message.id)) {
        end = Math.max(end, start + STALE_SECONDS);
        continue;
      }
      beganAt.set(message.id, start);
      if (start - message.arrived > QUEUE_SECONDS) continue;
      const { done, over } = callProvider(start);
      if (done) waits.push(over - message.arrived);
      end = Math.max(end, over);
    }
    worked += end - start;
    freeAt[consumer] = end;
  }
  waits.sort((a, b) => a - b);
  const quantile = (/** @type {number} */ part) => waits[Math.floor(part * (waits.length - 1))] ?? Number.NaN;
  const consumersBusy = worked / (consumers * Math.max(...freeAt));
  return {
    succeeded: waits.length / arrivals.length,
    median: quantile(0.5),
    p95: quantile(0.95),
    consumersBusy,
  };

  /** A call over the quota is refused at once, and made again after the waits of generations/run.ts. @param {number} start */
  function callProvider(start) {
    let at = start;
    for (let call = 0; call < CALLS; call++) {
      const minute = Math.floor(at / 60);
      const count = begun.get(minute) ?? 0;
      if (count < quotaPerMinute) {
        begun.set(minute, count + 1);
        return { done: true, over: at + MEDIAN_SECONDS * Math.exp(SIGMA * normal(chance)) };
      }
      at += (0.5 + chance() / 2) * 2 ** call;
    }
    return { done: false, over: at };
  }
}

/** By Box and Muller. @param {() => number} chance */
function normal(chance) {
  return Math.sqrt(-2 * Math.log(chance())) * Math.cos(2 * Math.PI * chance());
}

/** @returns {string} the table of docs/scale.md */
export function renderScale() {
  const lines = SETTINGS.flatMap((setting) =>
    LOADS.map((load) => {
      const { succeeded, median, p95, consumersBusy } = simulate(setting, load);
      const cells = [
        percent(succeeded),
        percent(1 - succeeded),
        duration(median),
        duration(p95),
        percent(consumersBusy),
      ];
      return `| ${[setting.what, load.toLocaleString("en"), ...cells].join(" | ")} |`;
    }),
  );
  return [
    "| | come, a minute | succeed | refunded | half within | 95 % within | consumers busy |",
    "|---|--:|--:|--:|--:|--:|--:|",
    ...lines,
  ].join("\n");
}

/** @param {number} part */
function percent(part) {
  return `${(100 * part).toFixed(0)} %`;
}

/** @param {number} seconds */
function duration(seconds) {
  return seconds < 600 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = join(fileURLToPath(import.meta.url), "../../docs/scale.md");
  const table = renderScale();
  console.log(table);
  const page = readFileSync(file, "utf8");
  writeFileSync(file, page.replace(/(<!-- simulated -->\n\n)[\s\S]*?(\n\n<!-- end -->)/, `$1${table}$2`));
}
