import { describe, expect, it } from "vitest";
import { CLOSED, failed, isOpen, probing } from "../../src/dispatch/breaker.ts";
import { FairQueue, flowOf, type Item } from "../../src/dispatch/fair-queue.ts";
import { type Ask, type CallOutcome, Gate, type GateSettings, WAITING_MAX } from "../../src/dispatch/gate.ts";
import {
  acceptedPerMinute,
  advertised,
  BURST_MS,
  FULL_PACE,
  grown,
  rateOf,
  slotOf,
  started,
  turnedAway,
} from "../../src/dispatch/pace.ts";

const T0 = 1_800_000_000_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const NONE: GateSettings = { perMinute: 0, concurrent: 0 };
const DOWN: CallOutcome = { kind: "failed", reason: "unavailable", retryAfterMs: null };
const UP: CallOutcome = { kind: "answered", perMinute: null };

function ask(id: string, user = "a", images = 1): Ask {
  const deadline = T0 + 60 * MINUTE;
  return { id, userId: user, flow: flowOf(user, "async"), images, deadline, isAgain: false };
}

describe("the pace", () => {
  it("allows the stated rate, with a short burst", () => {
    let pace = FULL_PACE;
    let now = T0;
    for (let image = 0; image < 600; image++) {
      now = slotOf(pace, now);
      pace = started(pace, 1, 60, now);
    }
    // One a second, less the burst.
    expect(now - T0).toBe(599 * SECOND - BURST_MS);
  });

  it("learns the accepted rate from a call that is turned away, and waits as long as requested", () => {
    let pace = FULL_PACE;
    for (let image = 0; image <= 120; image++) pace = started(pace, 1, 0, T0 + image * 500);
    const now = T0 + MINUTE;
    expect(acceptedPerMinute(pace, now)).toBeGreaterThan(100);
    pace = turnedAway(pace, 1, 7 * SECOND, 0, now);
    expect(rateOf(pace, 0)).toBeGreaterThan(90);
    expect(rateOf(pace, 0)).toBeLessThan(121);
    expect(slotOf(pace, now)).toBe(now + 7 * SECOND);
  });

  it("counts calls that are turned away at once as one event", () => {
    const once = turnedAway(started(FULL_PACE, 50, 0, T0), 1, null, 0, T0 + SECOND);
    const twice = turnedAway(once, 1, null, 0, T0 + 2 * SECOND);
    expect(twice.learned).toBe(once.learned);
  });

  it("pauses longer while calls are turned away repeatedly, up to a minute", () => {
    let pace = started(FULL_PACE, 50, 0, T0);
    let now = T0;
    const pauses: number[] = [];
    for (let event = 0; event < 8; event++) {
      now += pace.pauseMs + 6 * SECOND;
      pace = turnedAway(pace, 1, null, 0, now);
      pauses.push(pace.pauseMs / SECOND);
    }
    expect(pauses).toEqual([2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it("grows back, and drops a limit that no longer applies", () => {
    const limited = turnedAway(started(FULL_PACE, 100, 0, T0), 1, null, 0, T0 + SECOND);
    const rates = [1, 3, 60].map((minutes) => grown(limited, T0 + minutes * MINUTE).learned);
    expect(rates[1]).toBeGreaterThan(rates[0] ?? 0);
    expect(rates[2]).toBeNull();
  });

  it("uses the smallest of the configured, advertised and learned limits", () => {
    const told = advertised(FULL_PACE, 50, T0);
    expect([rateOf(told, 0), rateOf(told, 20), rateOf(advertised(told, 90, T0), 0)]).toEqual([50, 20, 50]);
  });
});

describe("the breaker", () => {
  it("opens after two failures in a row, and probes after 5 s, doubling to 60 s", () => {
    let breaker = failed(CLOSED, false, T0);
    expect(isOpen(breaker)).toBe(false);
    breaker = failed(breaker, false, T0);
    const waits: number[] = [];
    let now = T0;
    for (let probe = 0; probe < 6; probe++) {
      waits.push((breaker.probeAt - now) / SECOND);
      now = breaker.probeAt;
      breaker = failed(probing(breaker, now), true, now);
    }
    expect(waits).toEqual([5, 10, 20, 40, 60, 60]);
  });

  it("ignores calls that began before it opened", () => {
    const open = failed(failed(CLOSED, false, T0), false, T0);
    expect(failed(open, false, T0 + SECOND).probeAt).toBe(open.probeAt);
  });
});

describe("the fair queue", () => {
  const item = (id: string, user: string, images = 1): Item => ask(id, user, images);
  const drain = (queue: FairQueue) => {
    const ids: string[] = [];
    for (let next = queue.take(); next; next = queue.take()) ids.push(next.id);
    return ids;
  };

  it("takes flows in turn, however many items one of them has", () => {
    const queue = new FairQueue();
    for (let at = 0; at < 1_000; at++) queue.add(item(`heavy${at}`, "heavy"));
    expect(queue.take()?.id).toBe("heavy0");
    queue.add(item("light", "light"));
    expect([queue.imagesBefore(flowOf("light", "async")), queue.size]).toEqual([1, 1_000]);
    expect(queue.imagesBefore(flowOf("heavy", "async"))).toBeGreaterThanOrEqual(999);
    expect([queue.take()?.id, queue.take()?.id]).toContain("light");
    expect(drain(queue)).toHaveLength(998);
    expect([queue.size, queue.images]).toEqual([0, 0]);
  });

  it("counts images, not items", () => {
    const queue = new FairQueue();
    for (const id of ["a1", "a2"]) queue.add(item(id, "a", 4));
    for (const id of ["b1", "b2", "b3", "b4", "b5"]) queue.add(item(id, "b", 1));
    const order = drain(queue);
    expect(order.indexOf("a2")).toBeGreaterThan(order.indexOf("b4"));
  });

  it("keeps an item once, and puts a returned item first", () => {
    const queue = new FairQueue();
    queue.add(item("1", "a"));
    queue.add(item("2", "a"));
    queue.add(item("1", "a"), "first");
    queue.add(item("0", "a"), "first");
    queue.remove("2");
    queue.remove("unknown");
    expect(drain(queue)).toEqual(["0", "1"]);
  });
});

describe("the gate", () => {
  it("allows everything without a limit, and asks for no report", () => {
    const gate = new Gate(NONE);
    for (let call = 0; call < 500; call++)
      expect(gate.take(ask(`g${call}`), T0)).toEqual({ kind: "go", report: false, isProbe: false });
    expect([gate.waiting, gate.nextAt(T0)]).toEqual([0, null]);
  });

  it("makes work wait at a stated rate, estimates when, and releases it then", () => {
    const gate = new Gate({ perMinute: 60, concurrent: 0 });
    const answers = Array.from({ length: 5 }, (_, at) => gate.take(ask(`g${at}`), T0));
    expect(answers.map(({ kind }) => kind)).toEqual(["go", "go", "go", "wait", "wait"]);
    expect(answers[3]).toMatchObject({ until: T0 + SECOND });
    expect(gate.release(T0, 10)).toEqual([]);
    expect(gate.nextAt(T0)).toBe(T0 + SECOND);
    expect(gate.release(T0 + SECOND, 10).map(({ id }) => id)).toEqual(["g3"]);
    expect(gate.take(ask("g3"), T0 + SECOND)).toMatchObject({ kind: "go" });
    expect(gate.take(ask("g4"), T0 + SECOND)).toMatchObject({ kind: "wait" });
    expect(gate.waiting).toBe(1);
  });

  it("respects a stated concurrency, and frees the place of a call that never reports", () => {
    const gate = new Gate({ perMinute: 0, concurrent: 2 });
    expect(["a", "b", "c"].map((id) => gate.take(ask(id), T0).kind)).toEqual(["go", "go", "wait"]);
    gate.report("a", UP, T0 + SECOND);
    expect(gate.release(T0 + SECOND, 10).map(({ id }) => id)).toEqual(["c"]);
    gate.take(ask("c"), T0 + SECOND);
    expect(gate.take(ask("d"), T0 + SECOND).kind).toBe("wait");
    expect(gate.release(T0 + 5 * MINUTE - 1, 10)).toEqual([]);
    expect(gate.release(T0 + 5 * MINUTE, 10).map(({ id }) => id)).toEqual(["d"]);
  });

  it("halves the concurrency when the provider reports it as too high", () => {
    const gate = new Gate(NONE);
    for (let call = 0; call < 8; call++) gate.take(ask(`g${call}`), T0);
    gate.report("g7", { kind: "limited", by: "concurrency", retryAfterMs: null }, T0);
    expect(gate.view(T0)).toMatchObject({ learnedConcurrent: 4, inFlight: 7 });
    expect(gate.view(T0).lastFailure).toEqual({ reason: "limited", at: T0 });
  });

  it("counts only recent calls when it learns a concurrency, as earlier ones that succeeded were not reported", () => {
    const gate = new Gate(NONE);
    // One call a second, each of which takes the assumed minute.
    for (let second = 0; second < 300; second++)
      expect(gate.take(ask(`g${second}`), T0 + second * 1_000)).toMatchObject({ kind: "go", report: false });
    const now = T0 + 300_000;
    gate.report("g299", { kind: "limited", by: "concurrency", retryAfterMs: null }, now);
    const { learnedConcurrent, inFlight } = gate.view(now);
    expect(learnedConcurrent).toBe(29);
    expect(inFlight).toBe(58);
    // Half of them have ended 30 s later, and there is room again.
    expect(gate.view(now + 30_000).inFlight).toBe(28);
    expect(gate.take(ask("later"), now + 30_000)).toMatchObject({ kind: "go" });
  });

  it("keeps work while the provider is down, probes, and releases it when the provider is back", () => {
    const gate = new Gate(NONE);
    for (const id of ["a", "b"]) {
      gate.take(ask(id), T0);
      gate.report(id, DOWN, T0);
    }
    expect(gate.view(T0)).toMatchObject({ state: "open", failures: 2, nextProbeAt: T0 + 5 * SECOND });
    expect(gate.take(ask("c"), T0)).toEqual({ kind: "wait", until: null });
    expect(gate.take(ask("d"), T0)).toEqual({ kind: "wait", until: null });
    const probe = gate.release(T0 + 5 * SECOND, 10);
    expect(probe.map(({ id }) => id)).toEqual(["c"]);
    expect(gate.take(ask("c"), T0 + 5 * SECOND)).toEqual({ kind: "go", report: true, isProbe: true });
    gate.report("c", UP, T0 + 6 * SECOND);
    expect(gate.view(T0 + 6 * SECOND).state).toBe("closed");
    expect(gate.release(T0 + 6 * SECOND, 10).map(({ id }) => id)).toEqual(["d"]);
  });

  it("follows the operator's state instead of the breaker", () => {
    const gate = new Gate(NONE);
    gate.operate("open");
    expect(gate.take(ask("a"), T0)).toEqual({ kind: "wait", until: null });
    expect([gate.release(T0 + MINUTE, 10), gate.nextAt(T0)]).toEqual([[], null]);
    gate.operate("closed");
    expect(gate.release(T0 + MINUTE, 10)).toHaveLength(1);
    for (const id of ["b", "c", "d"]) {
      expect(gate.take(ask(id), T0 + MINUTE).kind).toBe("go");
      gate.report(id, DOWN, T0 + MINUTE);
    }
    expect(gate.view(T0 + MINUTE).state).toBe("closed");
  });

  it("drops items past their deadline", () => {
    const gate = new Gate({ perMinute: 60, concurrent: 0 });
    for (let call = 0; call < 3; call++) gate.take(ask(`g${call}`), T0);
    gate.take({ ...ask("late"), deadline: T0 + SECOND }, T0);
    gate.take(ask("on time"), T0);
    expect(gate.release(T0 + 10 * SECOND, 10).map(({ id }) => id)).toEqual(["on time"]);
  });

  it("keeps at most the maximum of waiting items", () => {
    const gate = new Gate(NONE);
    gate.operate("open");
    for (let at = 0; at < WAITING_MAX; at++) expect(gate.park(ask(`g${at}`, `user${at % 50}`))).toBe(true);
    expect(gate.park(ask("one more"))).toBe(false);
    expect(gate.take(ask("one more"), T0).kind).toBe("wait");
    expect(gate.waiting).toBe(WAITING_MAX);
  });

  it("continues after an eviction", () => {
    const before = new Gate(NONE);
    for (const id of ["a", "b"]) {
      before.take(ask(id), T0);
      before.report(id, DOWN, T0);
    }
    const after = new Gate(NONE, structuredClone(before.state), [ask("waiting")]);
    expect(after.view(T0)).toMatchObject({ state: "open", waiting: 1 });
    expect(after.release(T0 + 5 * SECOND, 10).map(({ id }) => id)).toEqual(["waiting"]);
  });
});
