import { expect, inject, it } from "vitest";
import { flowOf } from "../../src/dispatch/fair-queue.ts";
import { type Ask, type CallOutcome, Gate, type GateSettings } from "../../src/dispatch/gate.ts";
import { BURST_MS } from "../../src/dispatch/pace.ts";
import { seeded } from "../images/samples.ts";

/**
 * A model test: a gate, users whose work arrives at random, callers of which some die, a queue that loses messages, and a
 * provider with a quota, a limit on concurrency and outages. After each step the gate's promises are held against what
 * has happened. FUZZ_SEED gives other worlds.
 */

const T0 = 1_800_000_000_000;
const STEP_MS = 500;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** How long work arrives, and outages happen. */
const BUSY_MS = 15 * MINUTE;
/** How long it may take after that until all work has ended. */
const REST_MS = 90 * MINUTE;
const WORLDS = 4;
const IMAGES_MAX = 4;
/** As in gate.ts: a ticket, and the turn of a released item, lapse after this time. */
const LAPSE_MS = 5 * MINUTE;
/** As the account has them: when the work of a worker that died, or a lost message, is queued again. */
const LEASE_MS = 150 * SECOND;
const LOST_MS = 10 * MINUTE;
const ATTEMPTS = 3;
const USERS = ["heavy", "light 1", "light 2"] as const;

type Job = {
  ask: Ask;
  state: "waits" | "released" | "calls" | "ended";
  /** When a message brings it to a worker; null while none is under way. */
  messageAt: number | null;
  /** When the account queues it again, unless it ends before. */
  againAt: number;
  releasedAt: number;
  attempts: number;
};

type Call = {
  job: Job;
  endsAt: number;
  outcome: CallOutcome;
  report: boolean;
  isProbe: boolean;
  dies: boolean;
};

/** What the provider allows, and what the settings state of it. */
type Limits = { quota: number; concurrency: number; stated: GateSettings };

class World {
  /** Those that have not ended. */
  jobs: Job[] = [];
  calls: Call[] = [];
  now = T0;
  readonly #gate: Gate;
  readonly #limits: Limits;
  /** Whole numbers below n. */
  readonly #random: (n: number) => number;
  /** When the provider accepted images, and when the gate let some through: in the last minute. */
  #accepted: { at: number; images: number }[] = [];
  #letThrough: { at: number; images: number }[] = [];
  #downUntil = T0;
  /** Images of each user that were released in their turn while both had work waiting, by the two users. */
  readonly #shares = new Map<string, [number, number]>();

  constructor(limits: Limits, seed: number) {
    this.#limits = limits;
    this.#random = seeded(seed);
    this.#gate = new Gate(limits.stated);
  }

  step(isBusy: boolean): void {
    this.now += STEP_MS;
    if (isBusy) this.#disturb();
    for (const call of this.calls.filter(({ endsAt }) => endsAt <= this.now)) this.#end(call);
    for (const job of this.jobs) this.#deliver(job);
    this.jobs = this.jobs.filter(({ state }) => state !== "ended");
    this.#release();
    this.#check();
  }

  #chance(probability: number): boolean {
    return this.#random(1_000_000) < probability * 1_000_000;
  }

  #between(least: number, most: number): number {
    return least + this.#random(most - least + 1);
  }

  /** Work arrives, half of it parked; now and then the provider goes down. */
  #disturb(): void {
    for (const user of USERS) {
      if (!this.#chance(user === "heavy" ? 0.24 : 0.05)) continue;
      const id = `${user} ${this.now}`;
      const images = 1 + this.#random(IMAGES_MAX);
      const ask = { id, userId: user, flow: flowOf(user, "async"), images, deadline: T0 * 2, isAgain: false };
      const isParked = this.#chance(0.5) && this.#gate.park(ask);
      const messageAt = isParked ? null : this.now + this.#between(0, 2 * SECOND);
      const times = { messageAt, againAt: this.now + LOST_MS, releasedAt: 0 };
      this.jobs.push({ ask, state: "waits", attempts: 0, ...times });
    }
    if (this.#chance(1 / 600)) this.#downUntil = this.now + this.#between(10 * SECOND, 3 * MINUTE);
  }

  /** A worker takes the message of a job, or the account sends another one. */
  #deliver(job: Job): void {
    if (job.state === "calls") return;
    if (job.messageAt !== null && job.messageAt <= this.now) {
      job.messageAt = null;
      job.againAt = this.now + LOST_MS;
      this.#take(job);
    } else if (job.againAt <= this.now) {
      job.againAt = this.now + LOST_MS;
      job.messageAt = this.now;
    }
  }

  #take(job: Job): void {
    const answer = this.#gate.take(job.ask, this.now);
    if (answer.kind === "wait") {
      job.state = "waits";
      expect(this.#gate.isWaiting(job.ask.id), "who is told to wait is kept").toBe(true);
      return;
    }
    if (!this.#isGranted(job)) this.#letThrough.push({ at: this.now, images: job.ask.images });
    job.state = "calls";
    const dies = this.#chance(0.03);
    if (dies) job.againAt = this.now + LEASE_MS;
    this.calls.push({ job, ...answer, dies, ...this.#answer(job.ask.images) });
  }

  /** What the provider does with a call that begins now. */
  #answer(images: number): { endsAt: number; outcome: CallOutcome } {
    const retryAfterMs = this.#chance(0.5) ? null : this.#between(0, 10 * SECOND);
    const soon = this.now + SECOND;
    if (this.now < this.#downUntil)
      return { endsAt: soon, outcome: { kind: "failed", reason: "unavailable", retryAfterMs: null } };
    const running = this.calls.filter(({ outcome }) => outcome.kind === "answered").length;
    if (running >= this.#limits.concurrency)
      return { endsAt: soon, outcome: { kind: "limited", by: "concurrency", retryAfterMs } };
    this.#accepted = this.#lastMinute(this.#accepted);
    if (sum(this.#accepted) + images > this.#limits.quota)
      return { endsAt: soon, outcome: { kind: "limited", by: "rate", retryAfterMs } };
    this.#accepted.push({ at: this.now, images });
    return {
      endsAt: this.now + this.#between(2 * SECOND, 30 * SECOND),
      outcome: { kind: "answered", perMinute: null },
    };
  }

  #end(call: Call): void {
    const { job, outcome, report, isProbe, dies } = call;
    this.calls = this.calls.filter((other) => other !== call);
    job.ask = { ...job.ask, isAgain: true };
    if (dies) {
      // Another worker takes the job over, or it was canceled meanwhile.
      job.state = this.#chance(0.5) ? "waits" : "ended";
      return;
    }
    if (report || outcome.kind !== "answered") this.#gate.report(job.ask.id, outcome, this.now);
    const isAttempt = outcome.kind === "failed" && !isProbe;
    if (isAttempt) job.attempts++;
    if (outcome.kind === "answered" || job.attempts >= ATTEMPTS) job.state = "ended";
    else this.#take(job);
  }

  #release(): void {
    const at = this.#gate.nextAt(this.now);
    if (at === null || at > this.now) return;
    for (const { id, images, userId } of this.#gate.release(this.now, 100)) {
      const job = this.jobs.find(({ ask }) => ask.id === id);
      if (!job) throw new Error(`${id} is nobody's`);
      const isOut = job.state === "calls" || this.#isGranted(job);
      expect([isOut, id], "released once at a time").toEqual([false, id]);
      this.#letThrough.push({ at: this.now, images });
      if (!job.ask.isAgain) this.#share(userId, images);
      job.state = "released";
      job.releasedAt = this.now;
      if (this.#chance(0.02)) this.#putBack(job);
      // Some messages are lost.
      else if (!this.#chance(0.02)) job.messageAt = this.now + this.#between(0, 5 * SECOND);
    }
  }

  /** The queue did not take it. */
  #putBack(job: Job): void {
    this.#gate.putBack(job.ask);
    job.state = "waits";
    job.ask = { ...job.ask, isAgain: true };
  }

  #isGranted({ state, releasedAt }: Job): boolean {
    return state === "released" && this.now < releasedAt + LAPSE_MS;
  }

  #share(user: string, images: number): void {
    for (const [pair, shares] of this.#shares) {
      const at = pair.split("/").indexOf(user);
      if (at === 0) shares[0] += images;
      if (at === 1) shares[1] += images;
    }
  }

  #check(): void {
    const { perMinute, concurrent } = this.#limits.stated;
    const granted = this.jobs.filter((job) => this.#isGranted(job)).length;
    if (concurrent > 0)
      expect(this.calls.length + granted, "the stated concurrency").toBeLessThanOrEqual(concurrent);
    this.#letThrough = this.#lastMinute(this.#letThrough);
    const burst = (perMinute * BURST_MS) / MINUTE + IMAGES_MAX;
    if (perMinute > 0)
      expect(sum(this.#letThrough), "the stated rate").toBeLessThanOrEqual(perMinute + burst);
    this.#checkShares();
  }

  /** Start-time fair queueing: what two users get who both wait differs by an item of each, at most. */
  #checkShares(): void {
    const waiting = new Set(
      this.jobs.filter(({ ask }) => this.#gate.isWaiting(ask.id)).map(({ ask }) => ask.userId),
    );
    for (const [at, one] of USERS.entries()) {
      for (const other of USERS.slice(at + 1)) {
        const pair = `${one}/${other}`;
        if (!waiting.has(one) || !waiting.has(other)) this.#shares.delete(pair);
        else {
          const shares = this.#shares.get(pair) ?? [0, 0];
          this.#shares.set(pair, shares);
          expect(Math.abs(shares[0] - shares[1]), `fair shares: ${pair}`).toBeLessThanOrEqual(2 * IMAGES_MAX);
        }
      }
    }
  }

  #lastMinute(events: readonly { at: number; images: number }[]): { at: number; images: number }[] {
    return events.filter(({ at }) => at > this.now - MINUTE);
  }
}

function sum(events: readonly { images: number }[]): number {
  return events.reduce((total, { images }) => total + images, 0);
}

const { seed: SEED } = inject("fuzz");

it.each<[what: string, Limits]>([
  ["a stated rate", { quota: 60, concurrency: 1_000, stated: { perMinute: 60, concurrent: 0 } }],
  ["a stated concurrency", { quota: 1_000, concurrency: 8, stated: { perMinute: 0, concurrent: 8 } }],
  ["both stated", { quota: 60, concurrency: 10, stated: { perMinute: 60, concurrent: 10 } }],
  ["both stated wrongly", { quota: 40, concurrency: 5, stated: { perMinute: 60, concurrent: 10 } }],
  ["nothing stated", { quota: 40, concurrency: 5, stated: { perMinute: 0, concurrent: 0 } }],
])("keeps its promises in any world, with %s", (_, limits) => {
  for (let seed = SEED; seed < SEED + WORLDS; seed++) {
    const world = new World(limits, seed);
    try {
      while (world.now < T0 + BUSY_MS) world.step(true);
      while (world.now < T0 + BUSY_MS + REST_MS && world.jobs.length > 0) world.step(false);
      expect(world.jobs.length, "nobody waits for ever").toBe(0);
    } catch (error) {
      throw new Error(`FUZZ_SEED=${seed}, after ${(world.now - T0) / SECOND} s`, { cause: error });
    }
  }
});
