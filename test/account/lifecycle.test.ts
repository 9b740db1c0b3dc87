import { describe, expect, it } from "vitest";
import {
  accept,
  afterChores,
  begin,
  chores,
  end,
  type FailureCode,
  type Generation,
  isEnded,
  jobOf,
  KEEP_MS,
  LEASE_MS,
  type Limits,
  lapse,
  nudgeAfterMs,
  renew,
  SWEEP_AFTER_MS,
} from "../../src/account/lifecycle.ts";
import { anOrder, aRequest, imagesOf } from "../support/account.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const T0 = Date.UTC(2026, 4, 1);
const limits: Limits = { runDeadlineMs: 800 * SECOND, queueDeadlineMs: 3_600 * SECOND, providerAttempts: 3 };
const N = 2;
const request = aRequest({ n: N });
const reference = { key: "gen_1/1", contentType: "image/png", bytes: 3, sha256: "00" } as const;
const paid = [{ grantId: "a", credits: 16 }];

const queued = accept(anOrder("gen_1", "async", request, 16), paid, T0, limits);
const leased = accept(anOrder("gen_1", "sync", request, 16), paid, T0, limits);
/** Its lease was taken away: fence 2 waits for somebody to take it. */
const lapsed: Generation = { ...leased, leased: false, fence: 2, dueAt: T0 + LEASE_MS + 30 * SECOND };
const rerun: Generation = { ...lapsed, leased: true, dueAt: T0 + 2 * LEASE_MS };
const succeeded: Generation = {
  ...leased,
  status: "succeeded",
  leased: false,
  endedAt: T0 + 20 * SECOND,
  images: imagesOf("gen_1", N),
};
const failed: Generation = {
  ...succeeded,
  status: "failed",
  images: [],
  error: "generationFailed",
  refunded: 16,
};
const canceled: Generation = { ...failed, status: "canceled", error: null };

const all = { images: imagesOf("gen_1", N), failure: null };
const fewer = { images: imagesOf("gen_1", N - 1), failure: null };
const none = { images: [], failure: "generationFailed" } as const;

/** The kind of an outcome, or the rule that was broken. */
function kindOf(work: () => { kind: string }): string {
  try {
    return work().kind;
  } catch (error) {
    return String(error);
  }
}

describe("every state and every event", () => {
  const states = { queued, leased, lapsed, rerun, succeeded, failed, canceled };
  const at = T0 + MINUTE;
  const late = T0 + 3_600 * SECOND;
  const notUnfinished = "Error: The book is broken: only unfinished work lapses.";
  const notEnded = "Error: The book is broken: only an ended generation has chores.";
  const times = (count: number, kind: string) => Array.from({ length: count }, () => kind);

  it.each<[string, (state: Generation) => { kind: string }, string[]]>([
    // Event, then what it comes to when: queued, leased, lapsed, rerun, succeeded, failed, canceled.
    ["begin", (s) => begin(s, at, limits), ["run", "taken", "run", "taken", ...times(3, "finished")]],
    ["begin, too late", (s) => begin(s, late, limits), [...times(4, "taken"), ...times(3, "finished")]],
    ["renew by fence 0", (s) => renew(s, 0, 0, at, limits), times(7, "lost")],
    [
      "renew by fence 1",
      (s) => renew(s, 1, 0, at, limits),
      ["lost", "yours", "lost", "lost", ...times(3, "lost")],
    ],
    [
      "renew by fence 2",
      (s) => renew(s, 2, 0, at, limits),
      ["lost", "lost", "lost", "yours", ...times(3, "lost")],
    ],
    ["renew by fence 3", (s) => renew(s, 3, 0, at, limits), times(7, "lost")],
    [
      "the alarm, when nothing is due",
      (s) => lapse(s, T0),
      ["wait", "wait", "wait", "wait", ...times(3, notUnfinished)],
    ],
    [
      "the alarm, when it is due",
      (s) => lapse(s, s.dueAt ?? 0),
      ["nudge", "nudge", "nudge", "nudge", ...times(3, notUnfinished)],
    ],
    [
      "the alarm, at the deadline",
      (s) => lapse(s, s.deadline),
      ["expired", "expired", "expired", "expired", ...times(3, notUnfinished)],
    ],
    [
      "all images from fence 1",
      (s) => end(s, 1, all, at),
      ["ended", "ended", "ended", "ended", ...times(3, "repeated")],
    ],
    [
      "fewer images from fence 1",
      (s) => end(s, 1, fewer, at),
      ["stale", "ended", "stale", "stale", ...times(3, "repeated")],
    ],
    [
      "fewer images from fence 2",
      (s) => end(s, 2, fewer, at),
      ["stale", "stale", "stale", "ended", ...times(3, "repeated")],
    ],
    [
      "a failure from fence 1",
      (s) => end(s, 1, none, at),
      ["stale", "ended", "stale", "stale", ...times(3, "repeated")],
    ],
    [
      "a failure from fence 0",
      (s) => end(s, 0, none, at),
      ["stale", "stale", "stale", "stale", ...times(3, "repeated")],
    ],
    [
      "the end of its time",
      (s) => end(s, null, none, at),
      ["ended", "ended", "ended", "ended", ...times(3, "repeated")],
    ],
    [
      "chores",
      (s) => ({ kind: chores(s, at).copy ? "copy" : "nothing" }),
      [...times(4, notEnded), ...times(3, "copy")],
    ],
    [
      "after chores",
      (s) => ({ kind: afterChores(s, { copy: true, clear: true, sweep: false }, at).copied ? "copied" : "" }),
      [...times(4, notEnded), ...times(3, "copied")],
    ],
    [
      "the job of its holder",
      (s) => ({ kind: `fence ${jobOf(s, limits).fence}` }),
      ["x", "fence 1", "x", "fence 2", ...times(3, "x")].map((kind) =>
        kind === "x" ? "Error: The book is broken: only a leased generation is worked on." : kind,
      ),
    ],
  ])("%s", (_, event, expected) => {
    const outcomes = Object.entries(states).map(([name, state]) => [name, kindOf(() => event(state))]);
    expect(outcomes).toEqual(Object.keys(states).map((name, index) => [name, expected[index]]));
  });

  it("has ended in three of them", () => {
    expect(Object.entries(states).filter(([, state]) => isEnded(state))).toEqual(
      Object.entries({ succeeded, failed, canceled }),
    );
  });
});

describe("accept", () => {
  it("has an async one wait in line, due to be told again after 30 s", () => {
    expect(queued).toMatchObject({
      status: "queued",
      leased: false,
      fence: 0,
      calls: 0,
      beganAt: null,
      deadline: T0 + 3_600 * SECOND,
      dueAt: T0 + 30 * SECOND,
      charged: 16,
      refunded: 0,
      cleared: true,
      swept: true,
    });
  });

  it("begins a sync one at once, its first provider call allowed", () => {
    expect(leased).toMatchObject({
      status: "processing",
      leased: true,
      fence: 1,
      calls: 1,
      beganAt: T0,
      deadline: T0 + 800 * SECOND,
      dueAt: T0 + 150 * SECOND,
    });
  });

  it.each([
    ["async", { queueDeadlineMs: 30 * SECOND + 1 }, 30 * SECOND],
    ["async", { queueDeadlineMs: 30 * SECOND - 1 }, 30 * SECOND - 1],
    ["sync", { runDeadlineMs: LEASE_MS + 1 }, LEASE_MS],
    ["sync", { runDeadlineMs: LEASE_MS - 1 }, LEASE_MS - 1],
  ] as const)("is due no later than the deadline: %s, %o", (mode, short, due) => {
    const accepted = accept(anOrder("gen_1", mode, request, 16), paid, T0, { ...limits, ...short });
    expect(accepted.dueAt).toBe(T0 + due);
  });

  it("has references to clear where there are some", () => {
    const withReference = aRequest({ references: [reference] });
    expect(accept(anOrder("gen_1", "async", withReference, 8), paid, T0, limits).cleared).toBe(false);
  });

  it("throws on a price that its images cannot share", () => {
    expect(() => accept(anOrder("gen_1", "async", aRequest({ n: 3 }), 16), paid, T0, limits)).toThrow(
      "every image of a generation has the same whole price",
    );
  });
});

describe("begin", () => {
  function begun(generation: Generation, now: number) {
    const outcome = begin(generation, now, limits);
    if (outcome.kind !== "run") throw new Error(outcome.kind);
    return outcome;
  }

  it("starts the time of a run when it first begins", () => {
    const { generation, job } = begun(queued, T0 + MINUTE);
    expect(generation).toMatchObject({
      status: "processing",
      beganAt: T0 + MINUTE,
      deadline: T0 + MINUTE + 800 * SECOND,
      dueAt: T0 + MINUTE + LEASE_MS,
      fence: 1,
      calls: 1,
    });
    expect(job).toEqual({
      generationId: "gen_1",
      fence: 1,
      request,
      workUntil: T0 + MINUTE + 720 * SECOND,
      mayCall: true,
    });
  });

  it("leaves a rerun the time and the calls of the first", () => {
    const { generation, job } = begun({ ...lapsed, tries: 3 }, T0 + 700 * SECOND);
    expect(generation).toMatchObject({
      beganAt: T0,
      deadline: T0 + 800 * SECOND,
      dueAt: T0 + 800 * SECOND,
      fence: 2,
      calls: 1,
      tries: 0,
    });
    expect(job).toMatchObject({ fence: 2, workUntil: T0 + 720 * SECOND, mayCall: false });
  });

  it.each([
    ["1 ms before the queue's deadline", queued, queued.deadline - 1, "run"],
    ["at the queue's deadline", queued, queued.deadline, "taken"],
    ["1 ms before the run's deadline", lapsed, lapsed.deadline - 1, "run"],
    ["at the run's deadline", lapsed, lapsed.deadline, "taken"],
    ["when the lease is over, but the alarm has not said so", leased, T0 + LEASE_MS, "taken"],
  ])("%s", (_, generation, now, expected) => {
    expect(begin(generation, now, limits).kind).toBe(expected);
  });
});

describe("renew", () => {
  it.each([
    ["within a lease", T0 + MINUTE, T0 + MINUTE + LEASE_MS],
    ["after the lease's end, when nobody has taken it away", T0 + LEASE_MS + 1, T0 + 2 * LEASE_MS + 1],
    ["1 ms more than a lease before the deadline", T0 + 650 * SECOND - 1, T0 + 800 * SECOND - 1],
    ["a lease before the deadline", T0 + 650 * SECOND, T0 + 800 * SECOND],
    ["1 ms less than a lease before the deadline", T0 + 650 * SECOND + 1, T0 + 800 * SECOND],
  ])("keeps it until the deadline at most: %s", (_, now, dueAt) => {
    expect(renew(leased, 1, 0, now, limits)).toEqual({ kind: "yours", generation: { ...leased, dueAt } });
  });

  it.each([
    // calls before, asked for, allowed in all; outcome, calls after
    [1, 1, 3, "yours", 2],
    [2, 1, 3, "yours", 3],
    [3, 1, 3, "exhausted", 3],
    [3, 0, 3, "yours", 3],
    [1, 1, 1, "exhausted", 1],
    [1, 0, 1, "yours", 1],
  ] as const)("after %i calls, %i more of %i: %s", (calls, more, providerAttempts, kind, after) => {
    const outcome = renew({ ...leased, calls }, 1, more, T0, { ...limits, providerAttempts });
    expect(outcome).toEqual({ kind, generation: { ...leased, calls: after, dueAt: T0 + LEASE_MS } });
  });
});

describe("lapse", () => {
  it.each([
    ["1 ms before it is due", queued, T0 + 30 * SECOND - 1, "wait"],
    ["when it is due", queued, T0 + 30 * SECOND, "nudge"],
    ["1 ms before the end of a lease", leased, T0 + LEASE_MS - 1, "wait"],
    ["at the end of a lease", leased, T0 + LEASE_MS, "nudge"],
    ["1 ms before the deadline", { ...rerun, dueAt: T0 + 800 * SECOND }, T0 + 800 * SECOND - 1, "wait"],
    ["at the deadline", { ...rerun, dueAt: T0 + 800 * SECOND }, T0 + 800 * SECOND, "expired"],
    ["1 ms before the queue's deadline", { ...queued, tries: 9 }, T0 + 3_600 * SECOND - 1, "nudge"],
    ["at the queue's deadline", { ...queued, tries: 9 }, T0 + 3_600 * SECOND, "expired"],
  ])("%s", (_, generation, now, expected) => {
    expect(lapse(generation, now).kind).toBe(expected);
  });

  it("tells the queue again and again, after 30 s, doubling to 10 min, to the deadline", () => {
    let waiting = queued;
    const waits: number[] = [];
    for (let last = T0; ; ) {
      const now = waiting.dueAt ?? 0;
      waits.push((now - last) / SECOND);
      last = now;
      const outcome = lapse(waiting, now);
      if (outcome.kind !== "nudge") {
        expect(outcome.kind).toBe("expired");
        break;
      }
      expect(outcome.generation.fence).toBe(0);
      waiting = outcome.generation;
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 600, 600, 600, 600, 270]);
  });

  it.each([
    [0, 30],
    [1, 60],
    [4, 480],
    [5, 600],
    [6, 600],
    [2_000, 600],
  ])("waits after %i tries %i s", (tries, seconds) => {
    expect(nudgeAfterMs(tries)).toBe(seconds * SECOND);
  });

  it("takes a lease away: another fence, and the waits begin anew", () => {
    const now = T0 + LEASE_MS;
    const outcome = lapse({ ...leased, tries: 4 }, now);
    expect(outcome).toEqual({
      kind: "nudge",
      generation: { ...leased, leased: false, fence: 2, tries: 0, dueAt: now + 30 * SECOND },
    });
  });

  it("raises the fence once for each lease, however often it is nudged", () => {
    const outcome = lapse(lapsed, lapsed.dueAt ?? 0);
    if (outcome.kind !== "nudge") throw new Error(outcome.kind);
    expect(outcome.generation).toMatchObject({ fence: 2, tries: 1, leased: false });
  });
});

describe("end", () => {
  function ended(generation: Generation, fence: number | null, images: number, failure: FailureCode | null) {
    const outcome = end(generation, fence, { images: imagesOf("gen_1", images), failure }, T0 + MINUTE);
    if (outcome.kind !== "ended") throw new Error(outcome.kind);
    return outcome;
  }

  it.each([
    // images, failure; status, error, refund
    [2, null, "succeeded", null, null],
    [3, null, "succeeded", null, null],
    [2, "generationFailed", "succeeded", null, null],
    [1, null, "succeeded", null, { credits: 8, cause: "fault" }],
    [1, "generationFailed", "succeeded", null, { credits: 8, cause: "fault" }],
    [1, "contentPolicyViolation", "succeeded", null, { credits: 8, cause: "own" }],
    [0, null, "failed", "generationFailed", { credits: 16, cause: "fault" }],
    [0, "generationFailed", "failed", "generationFailed", { credits: 16, cause: "fault" }],
    [0, "contentPolicyViolation", "failed", "contentPolicyViolation", { credits: 16, cause: "own" }],
    [1, "unreadableReference", "succeeded", null, { credits: 8, cause: "own" }],
    [0, "unreadableReference", "failed", "unreadableReference", { credits: 16, cause: "own" }],
  ] as const)("with %i of 2 images and %s: %s", (images, failure, status, error, refund) => {
    const outcome = ended(leased, 1, images, failure);
    expect(outcome.refund).toEqual(refund);
    expect(outcome.generation).toMatchObject({
      status,
      error,
      images: imagesOf("gen_1", Math.min(images, N)),
      refunded: refund?.credits ?? 0,
      endedAt: T0 + MINUTE,
      leased: false,
      copied: false,
    });
  });

  it.each([
    // Only where one run alone can have stored images does the answer name them all.
    ["the first and only holder", leased, 1, true],
    ["the holder after it", rerun, 2, false],
    ["one whose lease was taken away", lapsed, 1, false],
    ["one whose lease somebody else has now", rerun, 1, false],
    ["the end of its time, during a run", leased, null, false],
    ["the end of its time, before any run", queued, null, true],
  ])("knows whether there is anything to sweep when ended by %s", (_, generation, fence, swept) => {
    expect(ended(generation, fence, fence === null ? 0 : N, null).generation.swept).toBe(swept);
  });

  it("leaves the alarm where it is when only the log is to be told", () => {
    expect(ended(leased, 1, N, null).generation.dueAt).toBe(leased.dueAt);
  });

  it("has the alarm come in time for a second try where references are to be cleared", () => {
    const outcome = ended({ ...leased, cleared: false }, 1, N, null);
    expect(outcome.generation.dueAt).toBe(T0 + MINUTE + 10 * SECOND);
  });
});

describe("end, with images of another size than was asked", () => {
  const prices = { "1K": 8, "2K": 10, "4K": 12 };
  const image = ([width, height]: [number, number]) =>
    imagesOf("gen_1", 1).map((one) => ({ ...one, width, height }));

  it.each<[string, number, number, [number, number][], number]>([
    ["64 × 64 instead of 4K costs 1K", 12, 1, [[64, 64]], 4],
    ["2K instead of 4K costs 2K", 12, 1, [[2048, 2048]], 2],
    ["4K is as asked", 12, 1, [[3840, 2160]], 0],
    ["4K instead of 1K costs what was asked", 8, 1, [[3840, 2160]], 0],
    [
      "each image for itself",
      36,
      3,
      [
        [3840, 2160],
        [1024, 1024],
        [2048, 2048],
      ],
      6,
    ],
    ["beside one that is missing", 24, 2, [[1024, 1024]], 16],
  ])("%s", (_, credits, n, sizes, refunded) => {
    const asked = aRequest({ n, tier: "4K", prices });
    const work = accept(anOrder("gen_1", "sync", asked, credits), paid, T0, limits);
    const outcome = end(work, 1, { images: sizes.flatMap(image), failure: null }, T0);
    expect(outcome).toMatchObject({
      generation: { status: "succeeded", charged: credits, refunded },
      refund: refunded === 0 ? null : { credits: refunded, cause: "fault" },
    });
  });

  it("costs what was charged where an older release noted no prices", () => {
    const work = accept(anOrder("gen_1", "sync", aRequest({ tier: "4K" }), 12), paid, T0, limits);
    const small = imagesOf("gen_1", 1).map((one) => ({ ...one, width: 64, height: 64 }));
    expect(end(work, 1, { images: small, failure: null }, T0)).toMatchObject({ refund: null });
  });
});

describe("chores", () => {
  const endedAt = T0 + 20 * SECOND;
  const unswept = { ...succeeded, swept: false };

  it.each([
    ["everything is done", { ...succeeded, copied: true }, T0 + KEEP_MS, []],
    ["the log has not been told", succeeded, T0 + MINUTE, ["copy"]],
    ["references are there", { ...succeeded, cleared: false }, T0 + MINUTE, ["copy", "clear"]],
    ["20 min less 1 ms have passed", unswept, endedAt + SWEEP_AFTER_MS - 1, ["copy"]],
    ["20 min have passed", unswept, endedAt + SWEEP_AFTER_MS, ["copy", "sweep"]],
  ])("when %s", (_, generation, now, expected) => {
    const todo = Object.entries(chores(generation, now)).flatMap(([chore, wanted]) =>
      wanted ? [chore] : [],
    );
    expect(todo).toEqual(expected);
  });

  it("sweeps 20 minutes after the end", () => {
    expect(SWEEP_AFTER_MS).toBe(20 * MINUTE);
  });
});

describe("afterChores", () => {
  const endedAt = T0 + 20 * SECOND;
  const now = T0 + MINUTE;
  const done = { copy: true, clear: true, sweep: false };
  const nothingDone = { copy: false, clear: false, sweep: false };

  it("needs no alarm once everything is done", () => {
    expect(afterChores({ ...succeeded, tries: 3 }, done, now)).toMatchObject({
      copied: true,
      cleared: true,
      swept: true,
      tries: 0,
      dueAt: null,
    });
  });

  it("comes back for the sweep, and ends with it", () => {
    const waiting = afterChores({ ...succeeded, swept: false }, done, now);
    expect(waiting).toMatchObject({ copied: true, swept: false, dueAt: endedAt + SWEEP_AFTER_MS });
    const swept = afterChores(waiting, { ...nothingDone, sweep: true }, endedAt + SWEEP_AFTER_MS);
    expect(swept).toMatchObject({ swept: true, dueAt: null });
  });

  it("forgets nothing that was done before", () => {
    const copied = { ...succeeded, copied: true, cleared: false };
    expect(afterChores(copied, nothingDone, now)).toMatchObject({ copied: true, cleared: false });
  });

  it.each([
    ["the log", { ...done, copy: false }],
    ["the references", { ...done, clear: false }],
    ["both", nothingDone],
  ])("comes back after 5 s, doubling to 10 min, for %s", (_, result) => {
    let generation: Generation = { ...succeeded, cleared: false };
    const waits: number[] = [];
    for (let tries = 0; tries < 10; tries++) {
      generation = afterChores(generation, result, now);
      waits.push(((generation.dueAt ?? 0) - now) / SECOND);
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
  });

  it("clears references in a second and a third try within 30 s of the end, though R2 fails twice", () => {
    const first = afterChores({ ...succeeded, cleared: false }, nothingDone, endedAt);
    const second = afterChores(first, nothingDone, first.dueAt ?? 0);
    expect([first.dueAt, second.dueAt]).toEqual([endedAt + 5 * SECOND, endedAt + 15 * SECOND]);
  });
});
