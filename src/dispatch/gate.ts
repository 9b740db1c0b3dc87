import * as breakers from "./breaker.ts";
import { FairQueue, type Item } from "./fair-queue.ts";
import * as paces from "./pace.ts";

/**
 * Decides who may call a provider, and when: pace, concurrency, circuit breaker, and a fair queue of waiting work. No
 * clock and no storage: every method takes `now`, in milliseconds since 1970. provider-gate.ts is the object that runs
 * it; the simulation runs the same code.
 */

/** The configured limits of a provider; 0 means none. */
export type GateSettings = { perMinute: number; concurrent: number };

/** `auto` leaves it to the breaker; `open` stops all calls; `closed` lets all through. */
export const operatorStates = ["auto", "open", "closed"] as const;
export type OperatorState = (typeof operatorStates)[number];

export type Ask = Item & {
  /** Whether the item has waited here before. Then it goes first. */
  isAgain: boolean;
};

export type TakeAnswer =
  /** `report`: whether to report a successful call too. Failures are always reported. */
  | { kind: "go"; report: boolean; isProbe: boolean }
  /** The estimated time of its turn; null when unknown. */
  | { kind: "wait"; until: number | null };

/** How a call ended, as far as the provider's health and limits are concerned. */
export type CallOutcome =
  /** The provider responded in any way. `perMinute` is the limit it states, or null. */
  | { kind: "answered"; perMinute: number | null }
  /** It turned the call away because of its rate or concurrency limit. */
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterMs: number | null }
  /** It is down, or could not be reached. */
  | { kind: "failed"; reason: string; retryAfterMs: number | null };

/** The state that survives an eviction of the object. Waiting items are stored separately. */
export type GateState = {
  pace: paces.Pace;
  breaker: breakers.Breaker;
  concurrency: { limit: number | null; changedAt: number };
  operator: OperatorState;
  lastFailure: { reason: string; at: number } | null;
};

export const INITIAL_STATE: GateState = {
  pace: paces.FULL_PACE,
  breaker: breakers.CLOSED,
  concurrency: { limit: null, changedAt: 0 },
  operator: "auto",
  lastFailure: null,
};

/**
 * A ticket expires after this time, so that a dead caller frees its place. A call whose success is not reported is taken
 * to have ended after the usual time of a call.
 */
const TICKET_MS = 300_000;
/** How long a released item may take to start. */
const GRANT_MS = 300_000;
/** The most released items that have not started. At this number, the consumers cannot keep up. */
const GRANTS_MAX = 100;
const CONCURRENCY_GROWS_EVERY_MS = 10_000;
/** The assumed duration of a call until one has been measured. */
const CALL_MS = 60_000;
/** After an outage, the rate starts at this multiple of the rate before it, but not below the minimum. */
const EASE_IN_FACTOR = 2;
const EASE_IN_PER_MINUTE_MIN = 60;
/** The most waiting items. Beyond that, the account asks again later. */
export const WAITING_MAX = 20_000;

/** A flow's share of the releases is measured over about this time. */
const SHARE_MS = 60_000;
const SHARES_MAX = 1_000;

type Ticket = { images: number; startedAt: number; lapsesAt: number; isProbe: boolean };

export class Gate {
  readonly #settings: GateSettings;
  readonly #queue = new FairQueue();
  /** Running calls, oldest first. */
  readonly #tickets = new Map<string, Ticket>();
  /** Released items that have not started yet, oldest first. */
  readonly #grants = new Map<string, { images: number; at: number; isProbe: boolean }>();
  #state: GateState;
  /** The images released of each waiting flow since a time, to estimate its share. */
  readonly #shares = new Map<string, { since: number; images: number }>();
  /** Images per minute before the last outage. */
  #perMinuteBefore = 0;
  #callMs = CALL_MS;

  constructor(settings: GateSettings, state: GateState = INITIAL_STATE, waiting: readonly Item[] = []) {
    this.#settings = settings;
    this.#state = state;
    for (const item of waiting) this.#queue.add(item);
  }

  get state(): GateState {
    return this.#state;
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get inFlight(): number {
    return this.#tickets.size;
  }

  isWaiting(id: string): boolean {
    return this.#queue.has(id);
  }

  /** Asks for a call. If it must wait, the item is put in the queue, unless the queue is full. */
  take(ask: Ask, now: number): TakeAnswer {
    this.#tidy(now);
    const grant = this.#grants.get(ask.id);
    if (grant) {
      this.#grants.delete(ask.id);
      return this.#start(ask.id, grant, now);
    }
    const blocked = this.#queue.size > 0 || this.#queue.has(ask.id) ? "queue" : this.#blockedBy(now);
    if (blocked === null || blocked === "probe") {
      this.#spend(ask.images, blocked === "probe", now);
      return this.#start(ask.id, { images: ask.images, isProbe: blocked === "probe" }, now);
    }
    const until = this.estimate(ask.flow, now);
    if (this.#queue.size < WAITING_MAX) this.#queue.add(ask, ask.isAgain ? "first" : "last");
    return { kind: "wait", until };
  }

  /** Puts an item in the queue without asking for a call: it is released when its turn comes. */
  park(item: Item): boolean {
    if (this.#queue.size >= WAITING_MAX) return false;
    this.#queue.add(item);
    return true;
  }

  /**
   * Removes items whose turn has come from the queue. They start with {@link take}, within {@link GRANT_MS}.
   * @param onExpired called for each item that is dropped because its deadline has passed
   */
  release(now: number, most: number, onExpired: (item: Item) => void = () => {}): Item[] {
    this.#tidy(now);
    const released: Item[] = [];
    while (released.length < most) {
      const item = this.#queue.peek();
      const blocked = item ? this.#blockedBy(now) : "empty";
      if (!item || (blocked !== null && blocked !== "probe")) break;
      this.#queue.take();
      if (item.deadline <= now) {
        onExpired(item);
        continue;
      }
      const isProbe = blocked === "probe";
      this.#spend(item.images, isProbe, now);
      this.#grants.set(item.id, { images: item.images, at: now, isProbe });
      this.#count(item, now);
      released.push(item);
    }
    return released;
  }

  /** Whether a call of this item was allowed and not reported yet. */
  isInFlight(id: string): boolean {
    return this.#tickets.has(id);
  }

  /** Puts a released item back that could not be sent. */
  putBack(item: Item): void {
    this.#grants.delete(item.id);
    this.#queue.add(item, "first");
  }

  /** Removes an item that no longer waits. */
  leave(id: string): void {
    this.#queue.remove(id);
    this.#grants.delete(id);
    this.#tickets.delete(id);
  }

  /** Records the outcome of a call. */
  report(id: string, outcome: CallOutcome, now: number): void {
    const ticket = this.#tickets.get(id);
    this.#dropLapsed(now);
    const inFlight = this.#tickets.size;
    this.#tickets.delete(id);
    const { pace, breaker } = this.#state;
    switch (outcome.kind) {
      case "answered":
        if (ticket) this.#callMs = 0.9 * this.#callMs + 0.1 * (now - ticket.startedAt);
        if (breakers.isOpen(breaker)) this.#close(now);
        this.#set({ breaker: breakers.CLOSED });
        if (outcome.perMinute !== null)
          this.#set({ pace: paces.advertised(this.#state.pace, outcome.perMinute, now) });
        return;
      case "limited": {
        if (breakers.isOpen(breaker)) this.#close(now);
        this.#set({ breaker: breakers.CLOSED, lastFailure: { reason: "limited", at: now } });
        const images = ticket?.images ?? 1;
        const { perMinute } = this.#settings;
        this.#set({ pace: paces.turnedAway(this.#state.pace, images, outcome.retryAfterMs, perMinute, now) });
        if (outcome.by === "concurrency")
          this.#set({ concurrency: { limit: Math.max(1, Math.floor(inFlight / 2)), changedAt: now } });
        return;
      }
      case "failed": {
        if (!breakers.isOpen(breaker)) this.#perMinuteBefore = paces.acceptedPerMinute(pace, now);
        const next = breakers.failed(breaker, ticket?.isProbe ?? false, now);
        const probeAt = Math.max(next.probeAt, now + Math.min(outcome.retryAfterMs ?? 0, 60_000));
        this.#set({
          breaker: { ...next, probeAt },
          lastFailure: { reason: outcome.reason, at: now },
        });
        return;
      }
    }
  }

  /** Sets the operator's state, which overrides the breaker. */
  operate(operator: OperatorState): void {
    this.#set({ operator });
  }

  /** The estimated start of a new item of this flow; null while the provider is down, because it is unknown. */
  estimate(flow: string, now: number): number | null {
    const { operator, breaker, pace } = this.#state;
    if (operator === "open" || (operator === "auto" && breakers.isOpen(breaker))) return null;
    const from = paces.slotOf(pace, now);
    const rate = this.#rate();
    if (rate === null) return from;
    const inOrder = (this.#queue.imagesBefore(flow) * 60_000) / rate;
    return from + Math.max(inOrder, this.#byShare(flow, now));
  }

  /** When {@link release} may have items; null while none wait. */
  nextAt(now: number): number | null {
    if (this.#queue.size === 0 || this.#state.operator === "open") return null;
    const { operator, breaker, pace } = this.#state;
    if (operator === "auto" && breakers.isOpen(breaker)) return Math.max(now, breaker.probeAt);
    if (!this.#isFull()) return paces.slotOf(pace, now);
    const lapses = [...this.#tickets.values()].map(({ lapsesAt }) => lapsesAt);
    return Math.max(now, Math.min(now + TICKET_MS, ...lapses));
  }

  /** The state of the gate, for the operator. */
  view(now: number) {
    this.#tidy(now);
    const { operator, breaker, pace, concurrency, lastFailure } = this.#state;
    const open = operator === "open" || (operator === "auto" && breakers.isOpen(breaker));
    return {
      state: open ? ("open" as const) : ("closed" as const),
      operator,
      perMinute: this.#perMinute(),
      concurrent: this.#concurrent(),
      learnedPerMinute: pace.learned,
      learnedConcurrent: concurrency.limit,
      // Without a concurrency limit, successful calls are not reported, so the number of running calls is unknown.
      inFlight: this.#concurrent() === null ? null : this.#tickets.size,
      waiting: this.#queue.size,
      acceptedLastMinute: paces.acceptedPerMinute(pace, now),
      failures: breaker.failures,
      nextProbeAt: open && operator === "auto" ? breaker.probeAt : null,
      lastFailure,
    };
  }

  #count({ flow, images }: Item, now: number): void {
    const share = this.#shares.get(flow);
    const isOld = share === undefined || now - share.since > 2 * SHARE_MS;
    // Halved instead of reset, so that the share stays known.
    const before = isOld ? { since: now, images: 0 } : share;
    const kept =
      now - before.since > SHARE_MS
        ? { since: before.since + (now - before.since) / 2, images: before.images / 2 }
        : before;
    this.#shares.set(flow, { since: kept.since, images: kept.images + images });
    if (this.#shares.size > SHARES_MAX) this.#shares.delete(this.#shares.keys().next().value ?? flow);
  }

  /**
   * The wait behind the flow's own items at their recent rate of release, because other flows' items arrive meanwhile.
   */
  #byShare(flow: string, now: number): number {
    const share = this.#shares.get(flow);
    const elapsed = share ? now - share.since : 0;
    if (!share || share.images === 0 || elapsed < SHARE_MS / 2) return 0;
    return (this.#queue.imagesOf(flow) * elapsed) / share.images;
  }

  /** Why one more call is not allowed. Null: it is allowed; `probe`: it is allowed as a probe. */
  #blockedBy(now: number): "operator" | "down" | "pace" | "concurrency" | "probe" | null {
    const { operator, breaker, pace } = this.#state;
    if (operator === "open") return "operator";
    const isDown = operator === "auto" && breakers.isOpen(breaker);
    if (isDown && now < breaker.probeAt) return "down";
    if (paces.slotOf(pace, now) > now) return "pace";
    if (this.#isFull()) return "concurrency";
    return isDown ? "probe" : null;
  }

  #isFull(): boolean {
    if (this.#grants.size >= GRANTS_MAX) return true;
    const most = this.#concurrent();
    return most !== null && this.#tickets.size + this.#grants.size >= most;
  }

  #concurrent(): number | null {
    const stated = this.#settings.concurrent;
    const { limit } = this.#state.concurrency;
    if (stated <= 0) return limit;
    return limit === null ? stated : Math.min(stated, limit);
  }

  #perMinute(): number | null {
    return paces.rateOf(this.#state.pace, this.#settings.perMinute);
  }

  /** The allowed images per minute, by pace or concurrency; null when neither limits. */
  #rate(): number | null {
    const most = this.#concurrent();
    const byConcurrency = most === null ? null : (most * 60_000) / this.#callMs;
    const rates = [this.#perMinute(), byConcurrency].filter((rate) => rate !== null);
    return rates.length === 0 ? null : Math.min(...rates);
  }

  #spend(images: number, isProbe: boolean, now: number): void {
    this.#set({ pace: paces.started(this.#state.pace, images, this.#settings.perMinute, now) });
    if (isProbe) this.#set({ breaker: breakers.probing(this.#state.breaker, now) });
  }

  #start(id: string, { images, isProbe }: { images: number; isProbe: boolean }, now: number): TakeAnswer {
    const { breaker } = this.#state;
    const report = isProbe || breaker.failures > 0 || this.#concurrent() !== null;
    const lapsesAt = now + (report ? TICKET_MS : this.#callMs);
    this.#tickets.set(id, { images, startedAt: now, lapsesAt, isProbe });
    return { kind: "go", report, isProbe };
  }

  /** The provider is back: waiting work is released at a growing rate. */
  #close(now: number): void {
    const perMinute = Math.max(EASE_IN_PER_MINUTE_MIN, EASE_IN_FACTOR * this.#perMinuteBefore);
    if (this.#queue.size > 0) this.#set({ pace: paces.easedIn(this.#state.pace, perMinute, now) });
  }

  #tidy(now: number): void {
    this.#dropLapsed(now);
    for (const [id, { at }] of this.#grants) {
      if (at + GRANT_MS > now) break;
      this.#grants.delete(id);
    }
    const { pace, concurrency } = this.#state;
    const grown = paces.grown(pace, now);
    if (grown !== pace) this.#set({ pace: grown });
    const steps = Math.floor((now - concurrency.changedAt) / CONCURRENCY_GROWS_EVERY_MS);
    if (concurrency.limit !== null && steps > 0) {
      const changedAt = concurrency.changedAt + steps * CONCURRENCY_GROWS_EVERY_MS;
      this.#set({ concurrency: { limit: concurrency.limit + steps, changedAt } });
    }
  }

  #dropLapsed(now: number): void {
    const isLimited = this.#concurrent() !== null;
    for (const [id, { lapsesAt }] of this.#tickets) {
      if (lapsesAt <= now) this.#tickets.delete(id);
      // Without a limit their number decides nothing: dropping the first ones keeps the map small.
      else if (!isLimited) break;
    }
  }

  #set(changes: Partial<GateState>): void {
    this.#state = { ...this.#state, ...changes };
  }
}
