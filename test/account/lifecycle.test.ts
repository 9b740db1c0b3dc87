import { describe, expect, it } from "vitest";
import {
  accept,
  begin,
  cancel,
  defer,
  end,
  type FailureCode,
  type Generation,
  isEnded,
  jobOf,
  LEASE_MS,
  type Limits,
  onDue,
  release,
  renew,
  requeueDelayMs,
} from "../../src/account/lifecycle.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const T0 = Date.UTC(2026, 4, 1);
const limits: Limits = {
  runDeadlineMs: 800 * SECOND,
  queueDeadlineMs: 3_600 * SECOND,
  providerAttempts: 3,
  redeliveryMs: 30 * SECOND,
};
const N = 2;
const request = aRequest({ n: N });
const reference = { key: "gen_1/1", contentType: "image/png", bytes: 3, sha256: "00" } as const;
const allocations = [{ grantId: "a", credits: 16 }];

const queued = accept(aCommand("gen_1", "async", request, 16), allocations, T0, limits);
const leased = accept(aCommand("gen_1", "sync", request, 16), allocations, T0, limits);
/** Its lease lapsed: it waits for a worker, with fence 2. */
const lapsed: Generation = {
  ...leased,
  interrupted: true,
  leased: false,
  fence: 2,
  dueAt: T0 + LEASE_MS + 30 * SECOND,
};
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

/** The kind of an outcome, or the violated rule. */
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
  const notUnfinished = "Error: Ledger invariant violated: only an unfinished generation is due.";
  const times = (count: number, kind: string) => Array.from({ length: count }, () => kind);

  it.each<[string, (state: Generation) => { kind: string }, string[]]>([
    // Event, then its outcome when: queued, leased, lapsed, rerun, succeeded, failed, canceled.
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
      (s) => onDue(s, T0, limits),
      ["wait", "wait", "wait", "wait", ...times(3, notUnfinished)],
    ],
    [
      "the alarm, when it is due",
      (s) => onDue(s, s.dueAt ?? 0, limits),
      ["requeue", "requeue", "requeue", "requeue", ...times(3, notUnfinished)],
    ],
    [
      "the alarm, at the deadline",
      (s) => onDue(s, s.deadline, limits),
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
      "the job of its holder",
      (s) => ({ kind: `fence ${jobOf(s, limits).fence}` }),
      ["x", "fence 1", "x", "fence 2", ...times(3, "x")].map((kind) =>
        kind === "x" ? "Error: Ledger invariant violated: only a leased generation has a job." : kind,
      ),
    ],
  ])("%s", (_, event, expected) => {
    const outcomes = Object.entries(states).map(([name, state]) => [name, kindOf(() => event(state))]);
    expect(outcomes).toEqual(Object.keys(states).map((name, index) => [name, expected[index]]));
  });

  it("has ended in three states", () => {
    expect(Object.entries(states).filter(([, state]) => isEnded(state))).toEqual(
      Object.entries({ succeeded, failed, canceled }),
    );
  });
});

describe("accept", () => {
  it("queues an async generation, due after 30 s", () => {
    expect(queued).toMatchObject({
      status: "queued",
      leased: false,
      fence: 0,
      providerCalls: 0,
      beganAt: null,
      deadline: T0 + 3_600 * SECOND,
      dueAt: T0 + 30 * SECOND,
      charged: 16,
      refunded: 0,
      referencesDeleted: true,
      orphansDeleted: true,
    });
  });

  it("leases a sync generation at once, with its first provider call allowed", () => {
    expect(leased).toMatchObject({
      status: "processing",
      leased: true,
      fence: 1,
      providerCalls: 1,
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
    const accepted = accept(aCommand("gen_1", mode, request, 16), allocations, T0, { ...limits, ...short });
    expect(accepted.dueAt).toBe(T0 + due);
  });

  it("has references to delete if the request has any", () => {
    const withReference = aRequest({ references: [reference] });
    expect(
      accept(aCommand("gen_1", "async", withReference, 8), allocations, T0, limits).referencesDeleted,
    ).toBe(false);
  });

  it("throws on a price that does not divide by its images", () => {
    expect(() => accept(aCommand("gen_1", "async", aRequest({ n: 3 }), 16), allocations, T0, limits)).toThrow(
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

  it("starts the run deadline at the first begin", () => {
    const { generation, job } = begun(queued, T0 + MINUTE);
    expect(generation).toMatchObject({
      status: "processing",
      beganAt: T0 + MINUTE,
      deadline: T0 + MINUTE + 800 * SECOND,
      dueAt: T0 + MINUTE + LEASE_MS,
      fence: 1,
      providerCalls: 1,
    });
    expect(job).toEqual({
      generationId: "gen_1",
      fence: 1,
      request,
      workUntil: T0 + MINUTE + 720 * SECOND,
      mayCall: true,
      interrupted: false,
      queueUntil: T0 + 3_600 * SECOND,
      task: null,
    });
  });

  it("leaves a rerun the remaining time and calls of the first run", () => {
    const { generation, job } = begun({ ...lapsed, alarmAttempts: 3 }, T0 + 700 * SECOND);
    expect(generation).toMatchObject({
      beganAt: T0,
      deadline: T0 + 800 * SECOND,
      dueAt: T0 + 800 * SECOND,
      fence: 2,
      providerCalls: 1,
      alarmAttempts: 0,
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
    const outcome = renew({ ...leased, providerCalls: calls }, 1, more, T0, { ...limits, providerAttempts });
    expect(outcome).toEqual({ kind, generation: { ...leased, providerCalls: after, dueAt: T0 + LEASE_MS } });
  });

  it("saves a task, which lasts until another replaces it or the generation ends", () => {
    const [first, second] = ["1", "2"].map((state) => ({ provider: "fal", state }));
    const saved = renew(leased, 1, 0, T0, limits, first);
    if (saved.kind !== "yours") throw new Error(saved.kind);
    expect(saved.generation).toEqual({ ...leased, dueAt: T0 + LEASE_MS, task: first });
    expect(jobOf(saved.generation, limits).task).toEqual(first);
    expect(renew(saved.generation, 1, 1, T0, limits)).toMatchObject({ generation: { task: first } });
    expect(renew(saved.generation, 1, 0, T0, limits, second)).toMatchObject({ generation: { task: second } });
    expect(renew(saved.generation, 2, 0, T0, limits, second)).toEqual({ kind: "lost" });

    const lapsed = onDue(saved.generation, T0 + LEASE_MS, limits);
    expect(lapsed).toMatchObject({ kind: "requeue", generation: { task: first } });
    const released = release(saved.generation, 1);
    expect(begin(released, T0, limits)).toMatchObject({
      kind: "run",
      job: { task: first, interrupted: true },
    });
    const ended = end(saved.generation, 1, { images: [], failure: "generationFailed" }, T0);
    expect(ended).toMatchObject({ kind: "ended", generation: { task: null } });
  });
});

describe("onDue", () => {
  it.each([
    ["1 ms before it is due", queued, T0 + 30 * SECOND - 1, "wait"],
    ["when it is due", queued, T0 + 30 * SECOND, "requeue"],
    ["1 ms before the end of a lease", leased, T0 + LEASE_MS - 1, "wait"],
    ["at the end of a lease", leased, T0 + LEASE_MS, "requeue"],
    ["1 ms before the deadline", { ...rerun, dueAt: T0 + 800 * SECOND }, T0 + 800 * SECOND - 1, "wait"],
    ["at the deadline", { ...rerun, dueAt: T0 + 800 * SECOND }, T0 + 800 * SECOND, "expired"],
    ["1 ms before the queue's deadline", { ...queued, alarmAttempts: 9 }, T0 + 3_600 * SECOND - 1, "requeue"],
    ["at the queue's deadline", { ...queued, alarmAttempts: 9 }, T0 + 3_600 * SECOND, "expired"],
  ])("%s", (_, generation, now, expected) => {
    expect(onDue(generation, now, limits).kind).toBe(expected);
  });

  it("queues again after 30 s, doubling to 10 min, until the deadline", () => {
    let waiting = queued;
    const waits: number[] = [];
    for (let last = T0; ; ) {
      const now = waiting.dueAt ?? 0;
      waits.push((now - last) / SECOND);
      last = now;
      const outcome = onDue(waiting, now, limits);
      if (outcome.kind !== "requeue") {
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
    expect(requeueDelayMs(tries, limits)).toBe(seconds * SECOND);
  });

  it("ends a lapsed lease: raises the fence, and restarts the back-off", () => {
    const now = T0 + LEASE_MS;
    const outcome = onDue({ ...leased, alarmAttempts: 4 }, now, limits);
    expect(outcome).toEqual({
      kind: "requeue",
      generation: {
        ...leased,
        ...{ leased: false, fence: 2, alarmAttempts: 0, dueAt: now + 30 * SECOND, interrupted: true },
      },
    });
  });

  it("raises the fence once per lease, however often it is queued again", () => {
    const outcome = onDue(lapsed, lapsed.dueAt ?? 0, limits);
    if (outcome.kind !== "requeue") throw new Error(outcome.kind);
    expect(outcome.generation).toMatchObject({ fence: 2, alarmAttempts: 1, leased: false });
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
      logged: false,
    });
  });

  it.each([
    // Only if a single run can have stored images does the result name them all.
    ["the first and only holder", leased, 1, true],
    ["the holder after it", rerun, 2, false],
    ["one whose lease was taken away", lapsed, 1, false],
    ["one whose lease somebody else has now", rerun, 1, false],
    ["the end of its time, during a run", leased, null, false],
    ["the end of its time, before any run", queued, null, true],
  ])("knows whether there may be orphans when ended by %s", (_, generation, fence, none) => {
    expect(ended(generation, fence, fence === null ? 0 : N, null).generation.orphansDeleted).toBe(none);
  });

  it("does not move the alarm when only the log must be written", () => {
    expect(ended(leased, 1, N, null).generation.dueAt).toBe(leased.dueAt);
  });

  it("sets the alarm in time for a second deletion of references", () => {
    const outcome = ended({ ...leased, referencesDeleted: false }, 1, N, null);
    expect(outcome.generation.dueAt).toBe(T0 + MINUTE + 10 * SECOND);
  });
});

describe("end, with images of another size than requested", () => {
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
    const work = accept(aCommand("gen_1", "sync", asked, credits), allocations, T0, limits);
    const outcome = end(work, 1, { images: sizes.flatMap(image), failure: null }, T0);
    expect(outcome).toMatchObject({
      generation: { status: "succeeded", charged: credits, refunded },
      refund: refunded === 0 ? null : { credits: refunded, cause: "fault" },
    });
  });

  it("costs the full charge when an older release stored no prices", () => {
    const work = accept(aCommand("gen_1", "sync", aRequest({ tier: "4K" }), 12), allocations, T0, limits);
    const small = imagesOf("gen_1", 1).map((one) => ({ ...one, width: 64, height: 64 }));
    expect(end(work, 1, { images: small, failure: null }, T0)).toMatchObject({ refund: null });
  });
});

describe("defer", () => {
  const now = T0 + 5 * SECOND;

  it("gives the lease back: queued again, with the queue's deadline and the unspent call", () => {
    const deferred = defer(leased, 1, now + MINUTE, 1, now, limits);
    expect(deferred).toEqual({
      ...leased,
      ...{ status: "queued", leased: false, fence: 2, providerCalls: 0, beganAt: null, slotAt: now + MINUTE },
      ...{ deadline: T0 + 3_600 * SECOND, dueAt: now + MINUTE + 30 * SECOND },
    });
    if (!deferred) throw new Error("nothing was deferred");
    const again = begin(deferred, now + MINUTE, limits);
    expect(again).toMatchObject({
      kind: "run",
      generation: { providerCalls: 1, slotAt: null, beganAt: now + MINUTE },
      job: { fence: 2, mayCall: true, interrupted: false },
    });
  });

  it("does not allow a free call after one that was made", () => {
    const deferred = defer({ ...leased, providerCalls: 2 }, 1, null, 1, now, limits);
    if (!deferred) throw new Error("nothing was deferred");
    expect(deferred).toMatchObject({ providerCalls: 1, slotAt: null, dueAt: now + 30 * SECOND });
    expect(begin(deferred, now, limits)).toMatchObject({
      job: { mayCall: false },
      generation: { providerCalls: 1 },
    });
  });

  it.each<[string, Generation, number]>([
    ["another worker", leased, 2],
    ["a worker whose lease was taken away", lapsed, 1],
    ["a worker whose generation has ended", succeeded, 1],
  ])("is refused to %s", (_, generation, fence) => {
    expect(defer(generation, fence, null, 1, now, limits)).toBeNull();
  });

  it("never sets the alarm after the deadline", () => {
    const slot = T0 + 4_000 * SECOND;
    expect(defer(leased, 1, slot, 1, now, limits)?.dueAt).toBe(T0 + 3_600 * SECOND);
  });
});

describe("cancel", () => {
  it("ends a queued generation and refunds it whole, with its own expiry", () => {
    const outcome = cancel(queued, T0 + 5 * SECOND);
    expect(outcome).toMatchObject({
      kind: "ended",
      generation: { status: "canceled", endedAt: T0 + 5 * SECOND, refunded: 16, images: [], error: null },
      refund: { credits: 16, cause: "own" },
    });
  });

  it("deletes references soon", () => {
    const withReference = accept(
      aCommand("gen_1", "async", aRequest({ n: N, references: [reference] }), 16),
      ...[allocations, T0, limits],
    );
    expect(cancel(withReference, T0 + SECOND)).toMatchObject({
      generation: { referencesDeleted: false, dueAt: T0 + 11 * SECOND },
    });
  });

  it.each<[string, Generation, string]>([
    ["was canceled", canceled, "repeated"],
    ["has succeeded", succeeded, "refused"],
    ["has failed", failed, "refused"],
    ["is leased", leased, "refused"],
    ["lost its worker", lapsed, "refused"],
    ["runs again", rerun, "refused"],
    ["may have been sent to the provider before", { ...queued, providerCalls: 1, fence: 2 }, "refused"],
    ["waits for the provider, and was never sent to it", { ...queued, fence: 2 }, "ended"],
  ])("one that %s: %s", (_, generation, kind) => {
    expect(cancel(generation, T0 + SECOND).kind).toBe(kind);
  });
});
