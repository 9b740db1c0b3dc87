/**
 * `npm run bench:scale`: how async generations fare as more arrive than the provider takes or the consumers run. A
 * simulation over the gate's real rules (src/dispatch/gate.ts); the same at every run. Its tables stand in docs/scale.md.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomFrom } from "../scripts/chaos/random.mjs";
import { Gate } from "../src/dispatch/gate.ts";

/** How long generations arrive. Those still waiting then are followed to their end. */
const HOURS = 2;
/** `QUEUE_DEADLINE_SECONDS` and `PROVIDER_ATTEMPTS` by default. */
const DEADLINE_MS = 3_600_000;
const ATTEMPTS = 3;
/** The queue delivers a message after this time when a consumer is free. */
const DELIVERY_MS = 500;
/** How often an isolate asks the gate how long a new request would wait. */
const WORD_MS = 2_000;
const RELEASE_MOST = 100;
/** A generation that would wait for more than this part of its deadline is refused. */
const ACCEPT_PART = 0.9;
/** A generation whose turn is further away than this goes to the gate, and to the queue when its turn comes. */
const PARK_MS = 1_000;
/** A provider's time, log-normal: half within 58.7 s, 95 % within 142.8 s (lumenfall.ai on gpt-image-2, 2026-11). */
const MEDIAN_MS = 58_700;
const SIGMA = Math.log(142.8 / 58.7) / 1.645;
const SECOND_BITS = 1_000_000;
const CONSUMERS_MAX = 250;
const USERS = 200;

/**
 * @typedef {{
 *   perMinute: number,
 *   queues?: number,
 *   batch?: number,
 *   quota?: number,
 *   stated?: boolean,
 *   outage?: { from: number, to: number },
 *   ramp?: boolean,
 *   heavy?: number,
 *   burst?: boolean,
 *   hours?: number,
 * }} Setting `quota` in images a minute; `stated`: the gate knows it from the settings; `outage` in minutes; `ramp`:
 * consumers are added one by one, each time a batch ends; `heavy`: the part of the work that is one user's; `burst`: a minute's work comes at once,
 * after a quiet time, and nothing after it
 */

/**
 * @typedef {Record<"arrived" | "refused" | "accepted" | "calls" | "over" | "deliveries" | "probes" | "down", number>} Totals
 * `over`: calls that the provider turned away; `down`: calls that found it down
 */

/** A binary heap of events by time. */
class Events {
  /** @type {{ at: number, run: () => void }[]} */
  #heap = [];

  get size() {
    return this.#heap.length;
  }

  /** @param {number} at @param {() => void} run */
  add(at, run) {
    const heap = this.#heap;
    let index = heap.push({ at, run }) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (!above || above.at <= at) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = { at, run };
  }

  next() {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first ?? null;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      const right = heap[child + 1];
      const left = heap[child];
      if (!left) break;
      if (right && right.at < left.at) child++;
      const smaller = heap[child];
      if (!smaller || smaller.at >= last.at) break;
      heap[index] = smaller;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

/**
 * @typedef {{ id: string, flow: string, at: number, attempts: number, deferred: boolean, estimate: number | null,
 *   doneAt: number | null, beganAt: number | null, failed: boolean, queue: number }} Generation
 */

/** @param {Setting} setting */
export function simulate(setting) {
  const {
    perMinute,
    queues = 1,
    batch = 5,
    quota = 0,
    stated = true,
    outage,
    ramp = true,
    heavy = 0,
    burst = false,
  } = setting;
  const { hours = HOURS } = setting;
  const random = randomFrom(perMinute + queues);
  const chance = () => (random.between(0, SECOND_BITS - 1) + 0.5) / SECOND_BITS;
  const events = new Events();
  const gate = new Gate({ perMinute: stated ? quota : 0, concurrent: 0 });
  const totals = {
    arrived: 0,
    refused: 0,
    accepted: 0,
    calls: 0,
    over: 0,
    deliveries: 0,
    probes: 0,
    down: 0,
  };
  let now = 0;
  /** @type {Generation[]} */
  const all = [];
  /** @type {Map<string, Generation>} */
  const byId = new Map();
  const lanes = Array.from({ length: queues }, () => ({
    /** @type {Generation[]} */
    messages: [],
    consumers: ramp ? 1 : CONSUMERS_MAX,
    busy: 0,
  }));
  /** @type {number[]} starts that the provider took within the last minute */
  const window = [];
  let windowFrom = 0;
  /** @type {Map<string, { at: number, until: number | null }>} */
  const words = new Map();
  let timerAt = Number.POSITIVE_INFINITY;

  /** @param {Generation} generation */
  const send = (generation) => {
    const lane = lanes[generation.queue];
    events.add(now + DELIVERY_MS, () => {
      lane?.messages.push(generation);
      if (lane) pump(lane);
    });
  };

  /** @param {(typeof lanes)[number]} lane */
  const pump = (lane) => {
    while (lane.busy < lane.consumers && lane.messages.length > 0) {
      lane.busy++;
      const taken = lane.messages.splice(0, batch);
      let left = taken.length;
      const done = () => {
        if (--left > 0) return;
        lane.busy--;
        if (lane.messages.length > 0 && lane.consumers < CONSUMERS_MAX) lane.consumers++;
        pump(lane);
      };
      for (const generation of taken) consume(generation, done);
    }
  };

  /** @param {Generation} generation @param {() => void} done */
  const consume = (generation, done) => {
    totals.deliveries++;
    if (generation.doneAt !== null) return done();
    if (now - generation.at > DEADLINE_MS) {
      generation.failed = true;
      generation.doneAt = now;
      gate.leave(generation.id);
      return done();
    }
    const { id, flow, deferred: isAgain } = generation;
    const answer = gate.take(
      { id, userId: flow, flow, images: 1, isAgain, deadline: generation.at + DEADLINE_MS },
      now,
    );
    if (answer.kind === "wait") {
      generation.estimate ??= answer.until;
      generation.deferred = true;
      arm();
      return done();
    }
    totals.calls++;
    generation.beganAt ??= now;
    if (answer.isProbe) totals.probes++;
    call(generation, answer, done);
  };

  /** @param {Generation} generation @param {{ report: boolean, isProbe: boolean }} answer @param {() => void} done */
  const call = (generation, answer, done) => {
    const { id } = generation;
    const isDown = () => outage !== undefined && now >= outage.from * 60_000 && now < outage.to * 60_000;
    if (isDown()) return fail(generation, answer, done);
    if (quota > 0) {
      while (windowFrom < window.length && (window[windowFrom] ?? 0) <= now - 60_000) windowFrom++;
      if (window.length - windowFrom >= quota) {
        totals.over++;
        gate.report(
          id,
          {
            kind: "limited",
            by: "rate",
            retryAfterMs: 1_000 * Math.ceil(((window[windowFrom] ?? 0) + 60_000 - now) / 1_000),
          },
          now,
        );
        generation.deferred = true;
        generation.beganAt = null;
        gate.take(
          {
            id,
            userId: generation.flow,
            flow: generation.flow,
            images: 1,
            isAgain: true,
            deadline: generation.at + DEADLINE_MS,
          },
          now,
        );
        arm();
        return done();
      }
      window.push(now);
    }
    events.add(now + MEDIAN_MS * Math.exp(SIGMA * normal(chance)), () => {
      if (isDown()) return fail(generation, answer, done);
      generation.doneAt = now;
      if (answer.report) gate.report(id, { kind: "answered", perMinute: null }, now);
      arm();
      done();
    });
  };

  /** A call during the outage fails at once. Only those that the breaker let through as usual are attempts. */
  /** @param {Generation} generation @param {{ isProbe: boolean }} answer @param {() => void} done */
  const fail = (generation, answer, done) => {
    const { id, flow } = generation;
    totals.down++;
    gate.report(id, { kind: "failed", reason: "unavailable", retryAfterMs: null }, now);
    if (!answer.isProbe) generation.attempts++;
    if (generation.attempts >= ATTEMPTS) {
      generation.failed = true;
      generation.doneAt = now;
      return done();
    }
    const again = gate.take(
      { id, userId: flow, flow, images: 1, isAgain: false, deadline: generation.at + DEADLINE_MS },
      now,
    );
    generation.deferred = true;
    if (again.kind === "go") return fail(generation, again, done);
    arm();
    done();
  };

  const release = () => {
    timerAt = Number.POSITIVE_INFINITY;
    for (const { id } of gate.release(now, RELEASE_MOST)) {
      const generation = byId.get(id);
      if (generation) send(generation);
    }
    arm();
  };

  const arm = () => {
    const at = gate.nextAt(now);
    if (at === null) return;
    // Released in groups, four times a second at the most.
    const due = Math.max(at, now + 250);
    if (due >= timerAt) return;
    timerAt = due;
    events.add(due, () => {
      if (timerAt === due) release();
    });
  };

  const arrive = () => {
    admit();
    const next = now + (-Math.log(chance()) * 60_000) / perMinute;
    if (next < hours * 3_600_000) events.add(next, arrive);
  };

  const admit = () => {
    const id = `gen_${totals.arrived++}`;
    const flow = chance() < heavy ? "user_heavy" : `user_${random.between(0, USERS - 1)}`;
    const known = words.get(flow);
    const word = known && now - known.at < WORD_MS ? known : { at: now, until: gate.estimate(flow, now) };
    words.set(flow, word);
    if (word.until !== null && word.until - now > DEADLINE_MS * ACCEPT_PART) {
      totals.refused++;
    } else {
      totals.accepted++;
      /** @type {Generation} */
      const generation = {
        ...{ id, flow, at: now, attempts: 0, deferred: false, estimate: null },
        ...{ doneAt: null, beganAt: null, failed: false, queue: random.between(0, queues - 1) },
      };
      all.push(generation);
      byId.set(id, generation);
      if (
        (word.until === null || word.until > now + PARK_MS) &&
        gate.park({ id, userId: flow, flow, images: 1, deadline: now + DEADLINE_MS })
      ) {
        generation.estimate = word.until;
        generation.deferred = true;
        arm();
      } else {
        send(generation);
      }
    }
  };

  if (burst) for (let count = 0; count < perMinute; count++) events.add(0, admit);
  else events.add(0, arrive);
  for (let event = events.next(); event; event = events.next()) {
    now = event.at;
    event.run();
  }
  for (const generation of all) if (generation.doneAt === null) generation.failed = true;
  return { ...summary(all, totals, hours), end: now };
}

/** @param {Generation[]} all @param {Totals} totals @param {number} hours */
function summary(all, totals, hours) {
  const served = all.filter(({ doneAt, failed }) => doneAt !== null && !failed);
  const waits = served.map(({ at, beganAt }) => ((beganAt ?? at) - at) / 1_000).sort((a, b) => a - b);
  const light = served.filter(({ flow }) => flow !== "user_heavy");
  const lightWaits = light.map(({ at, beganAt }) => ((beganAt ?? at) - at) / 1_000).sort((a, b) => a - b);
  const errors = served
    .filter(({ estimate, beganAt, at }) => estimate !== null && beganAt !== null && beganAt - at > 5_000)
    .map(({ estimate, beganAt, at }) => Math.max(1, (estimate ?? 0) - at) / ((beganAt ?? 0) - at))
    .sort((a, b) => a - b);
  return {
    ...totals,
    served: served.length,
    failed: all.length - served.length,
    median: quantile(waits, 0.5),
    p95: quantile(waits, 0.95),
    lightMedian: quantile(lightWaits, 0.5),
    lightP95: quantile(lightWaits, 0.95),
    estimateMedian: quantile(errors, 0.5),
    lastDone: served.reduce((last, { doneAt }) => Math.max(last, doneAt ?? 0), 0),
    begunInTime: all.filter(
      ({ beganAt, failed }) => beganAt !== null && !failed && beganAt < hours * 3_600_000,
    ).length,
    all,
  };
}

/** @param {number[]} sorted @param {number} part */
function quantile(sorted, part) {
  return sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
}

/** By Box and Muller. @param {() => number} chance */
function normal(chance) {
  return Math.sqrt(-2 * Math.log(chance())) * Math.cos(2 * Math.PI * chance());
}

/** @type {{ what: string, setting: Omit<Setting, "perMinute">, loads: number[] }[]} */
const TABLE = [
  {
    what: "quota of 250 a minute, stated",
    setting: { quota: 250, queues: 4 },
    loads: [100, 300, 600, 1_200],
  },
  {
    what: "quota of 250 a minute, learned",
    setting: { quota: 250, queues: 4, stated: false },
    loads: [300, 1_200],
  },
  { what: "the same, 80 % from one user", setting: { quota: 250, queues: 4, heavy: 0.8 }, loads: [600] },
  { what: "no quota, one queue", setting: {}, loads: [200, 600, 2_000] },
  { what: "no quota, four queues", setting: { queues: 4 }, loads: [600, 2_000] },
  { what: "all at once after a quiet time, one queue", setting: { burst: true }, loads: [100] },
  { what: "all at once after a quiet time, four queues", setting: { burst: true, queues: 4 }, loads: [100] },
  { what: "outage from minute 30 to 40", setting: { queues: 4, outage: { from: 30, to: 40 } }, loads: [200] },
];

/** The rows of the table in docs/scale.md, each with its load in generations a minute. */
export const ROWS = TABLE.flatMap(({ what, setting, loads }) =>
  loads.map((perMinute) => ({ perMinute, render: () => renderRow(what, { ...setting, perMinute }) })),
);

/** @param {string} what @param {Parameters<typeof simulate>[0]} setting */
function renderRow(what, setting) {
  const result = simulate(setting);
  const { arrived, refused, accepted, served, failed, calls, over, median, p95, lightMedian } = result;
  const quota = setting.quota ?? 0;
  const used = quota === 0 ? "" : percent(result.begunInTime / (quota * 60 * HOURS));
  const light = setting.heavy === undefined ? "" : duration(lightMedian);
  const cells = [
    ...[setting.perMinute.toLocaleString("en"), percent(refused / arrived), percent(served / accepted)],
    ...[percent(failed / accepted), used, percent(over / calls), duration(median)],
    ...[duration(p95), light],
  ];
  return `| ${[what, ...cells].join(" | ")} |`;
}

function renderTable() {
  return [
    "| | arrive, a minute | refused before the charge | of accepted: served | refunded | of the quota used | calls turned away | median wait | 95th percentile | median wait of other users |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ...ROWS.map(({ render }) => render()),
  ].join("\n");
}

/** @param {number} part */
function percent(part) {
  return `${(100 * part).toFixed(1)} %`;
}

/** @param {number} seconds */
function duration(seconds) {
  return seconds < 600 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(0)} min`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = join(fileURLToPath(import.meta.url), "../../docs/scale.md");
  const table = renderTable();
  console.log(table);
  const page = readFileSync(file, "utf8");
  writeFileSync(file, page.replace(/(<!-- simulated -->\n\n)[\s\S]*?(\n\n<!-- end -->)/, `$1${table}$2`));
}
