import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Job, RunResult } from "../../src/account/lifecycle.ts";
import type { FinishOutcome, LeaseOutcome } from "../../src/account/outcomes.ts";
import { ProviderGate } from "../../src/dispatch/provider-gate.ts";
import { IMAGE_BYTES_MAX, type JobAccount, run } from "../../src/generations/run.ts";
import { STORAGE_ATTEMPTS } from "../../src/images/upload.ts";
import type { ProviderFailure } from "../../src/providers/provider.ts";
import { filled, png, watched } from "../images/samples.ts";
import { spyOnLog } from "../support/log.ts";
import { type Step, scripted, UNAVAILABLE, via } from "../support/provider.ts";
import { jobOf } from "./requests.ts";

/** Images with different widths. */
const [A, B, C] = [png(1, 1), png(2, 1), png(3, 1)];
const TEXT = new TextEncoder().encode("This is no picture.");

let logged: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  vi.spyOn(Math, "random").mockReturnValue(1);
  logged = spyOnLog();
});

afterEach(() => {
  expect(vi.getTimerCount(), "a run leaves no timer behind").toBe(0);
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Advances the clock, and lets the storage work, until the promise settles. */
async function settled<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  let step = 0;
  const stop = () => {
    pending = false;
  };
  promise.then(stop, stop);
  while (pending) {
    // Small steps first, to measure short waits, then large ones.
    await vi.advanceTimersByTimeAsync(step++ < 40 ? 250 : 5_000);
    await scheduler.wait(1);
  }
  return await promise;
}

type AccountScript = {
  /** Provider calls still allowed after the first. */
  calls?: number;
  /** The answer to a renewal without a call, after that many failed ones. */
  lease?: LeaseOutcome;
  failingRenewals?: number;
  failingFinishes?: number;
};

type Seen = {
  /** Reported and settled results. */
  results: RunResult[];
  /** The times of renewals, and whether they succeeded. */
  renewals: { at: number; kept: boolean }[];
  /** How many further calls were requested. */
  asked: number;
  finishes: number;
};

/** The account of a job. As with a real one, a stub that has thrown always throws. */
function accountDouble({
  calls = 2,
  lease = "yours",
  failingRenewals = 0,
  failingFinishes = 0,
}: AccountScript = {}) {
  const seen: Seen = { results: [], renewals: [], asked: 0, finishes: 0 };
  const stale: FinishOutcome = { kind: "stale" };
  const open = (): JobAccount => {
    let broken = false;
    const attempt = (fails: boolean) => {
      broken ||= fails;
      if (broken) throw new Error("the object was reset");
    };
    return {
      defer: async () => "deferred",
      async renew(_id, _fence, asked) {
        if (asked === 0) {
          const renewal = { at: Date.now(), kept: false };
          seen.renewals.push(renewal);
          attempt(seen.renewals.length <= failingRenewals);
          renewal.kept = true;
          return lease;
        }
        attempt(false);
        seen.asked++;
        return seen.asked <= calls ? "yours" : "exhausted";
      },
      async finish(_id, _fence, result) {
        seen.finishes++;
        attempt(seen.finishes <= failingFinishes);
        seen.results.push(structuredClone(result));
        return stale;
      },
    };
  };
  return { open, seen };
}

async function keysOf(job: Job): Promise<string[]> {
  const { objects } = await env.IMAGES.list({ prefix: `${job.generationId}/` });
  return objects.map(({ key }) => key);
}

/** Runs a job with a scripted provider, and returns what it reported. */
async function runScripted(job: Job, scripts: Step[][], script: AccountScript = {}) {
  const started = Date.now();
  const provider = scripted(...scripts);
  const account = accountDouble(script);
  const outcome = await settled(run(job, account.open, via(provider), env));
  const [result] = account.seen.results;
  return {
    outcome,
    result,
    widths: result?.images.map(({ width }) => width),
    asked: provider.requests.map(({ n, offset }) => [n, offset]),
    closed: provider.closed,
    ms: Date.now() - started,
    seen: account.seen,
  };
}

const U = UNAVAILABLE;
const LOST = { reason: "undelivered" } as const;
/** An image whose second half is missing. */
const CUT = A.subarray(0, A.length - 12);

describe("a request that no configured route can express", () => {
  const reference = { key: "r", contentType: "image/png", bytes: 5, sha256: "" } as const;
  it.each([
    ["at all", 0, { failure: "generationFailed", permanent: true }],
    ["at all, with references", -1, { failure: "generationFailed", permanent: true }],
    ["with references of these sizes", 4, { failure: "unreadableReference" }],
    ["with as large references, but can", 5, { failure: null }],
  ])("%s ends at once", async (_, bytesMax, end) => {
    const job = jobOf(1);
    if (bytesMax !== 0) job.request.references = [{ ...reference }];
    const provider = scripted([A]);
    provider.accepts = (_options, references) =>
      bytesMax > 0 && references.every(({ bytes }) => bytes <= bytesMax);
    const account = accountDouble();
    await settled(run(job, account.open, via(provider), env));
    expect(account.seen.results).toMatchObject([end]);
    expect(provider.requests).toHaveLength(end.failure === null ? 1 : 0);
  });

  it("keeps the images that an earlier run has stored", async () => {
    const job = jobOf(2);
    await runScripted(job, [[A]]);
    const provider = { ...scripted(), accepts: () => false };
    const account = accountDouble();
    await settled(run({ ...job, fence: 2, mayCall: false }, account.open, via(provider), env));
    const result = { images: [{ width: 1 }], failure: "generationFailed", permanent: true };
    expect(account.seen.results).toMatchObject([result]);
  });
});

describe("the result that a run reports", () => {
  it.each<[what: string, n: number, Step[][], widths: number[], failure: string | null, asked: number[][]]>([
    ["all the images", 2, [[A, B]], [1, 2], null, [[2, 0]]],
    ["the images asked for, of more", 2, [[A, B, C]], [1, 2], null, [[2, 0]]],
    ["a complete response with fewer images: final", 2, [[A]], [1], null, [[2, 0]]],
    ["a whole answer with none: final", 1, [[]], [], null, [[1, 0]]],
    ["bytes that are not an image count as not delivered", 2, [[TEXT, B]], [2], null, [[2, 0]]],
    [
      "only what is missing is asked for again",
      3,
      [
        [A, U],
        [B, C],
      ],
      [1, 2, 3],
      null,
      [
        [3, 0],
        [2, 1],
      ],
    ],
    [
      "an error that tells no reason is retried",
      1,
      [[new Error("?")], [A]],
      [1],
      null,
      [
        [1, 0],
        [1, 0],
      ],
    ],
    [
      "three calls in all",
      1,
      [[U], [U], [U], [A]],
      [],
      "generationFailed",
      [
        [1, 0],
        [1, 0],
        [1, 0],
      ],
    ],
    [
      "three calls, and what they gave",
      2,
      [[A, U], [U], [U], [B]],
      [1],
      "generationFailed",
      [
        [2, 0],
        [1, 1],
        [1, 1],
      ],
    ],
    [
      "undelivered: one call more",
      1,
      [[LOST], [LOST], [A]],
      [],
      "generationFailed",
      [
        [1, 0],
        [1, 0],
      ],
    ],
    [
      "undelivered once: one call more",
      2,
      [[A, LOST], [B]],
      [1, 2],
      null,
      [
        [2, 0],
        [1, 1],
      ],
    ],
    [
      "undelivered and unavailable: one call more after the second of the first",
      1,
      [[LOST], [U], [LOST], [A]],
      [],
      "generationFailed",
      [
        [1, 0],
        [1, 0],
        [1, 0],
      ],
    ],
    ["what is not whole counts as not delivered", 2, [[CUT, B]], [2], null, [[2, 0]]],
    ["nothing whole: final", 1, [[CUT], [A]], [], null, [[1, 0]]],
    [
      "unreadable without a reference",
      1,
      [[{ reason: "unreadable" }], [A]],
      [],
      "generationFailed",
      [[1, 0]],
    ],
    ["refused: no retry", 1, [[{ reason: "refused" }], [A]], [], "contentPolicyViolation", [[1, 0]]],
    ["refused after an image", 2, [[A, { reason: "refused" }]], [1], "contentPolicyViolation", [[2, 0]]],
    ["invalid: no retry", 1, [[{ reason: "invalid" }], [A]], [], "generationFailed", [[1, 0]]],
    ["misconfigured: no retry", 1, [[{ reason: "misconfigured" }], [A]], [], "generationFailed", [[1, 0]]],
  ])("%s", async (_, n, scripts, widths, failure, asked) => {
    const job = jobOf(n);
    const ran = await runScripted(job, scripts);
    expect(ran).toMatchObject({ widths, asked, closed: asked.length, outcome: { kind: "stale" } });
    expect(ran.result?.failure).toBe(failure);
    expect(await keysOf(job)).toEqual(ran.result?.images.map(({ key }) => key).sort());
  });

  it("stores each image with its own id, under the generation, with type and size from its bytes", async () => {
    const job = jobOf(1);
    const { result } = await runScripted(job, [[A]]);
    const [image] = result?.images ?? [];
    expect(image).toMatchObject({ contentType: "image/png", width: 1, height: 1, bytes: A.length });
    expect(image?.key).toBe(`${job.generationId}/${image?.id}.png`);
    const object = await env.IMAGES.head(image?.key ?? "");
    expect(object?.httpMetadata?.cacheControl).toBe("public, max-age=31536000, immutable");
  });

  it("passes the request and its references to the provider", async () => {
    const key = `${crypto.randomUUID()}/1`;
    await env.REFERENCES.put(key, B);
    const job = jobOf(1);
    const reference = { key, contentType: "image/png", bytes: B.length, sha256: "0" } as const;
    const provider = scripted([A]);
    const generate = vi.spyOn(provider, "generate");
    const request = { ...job.request, references: [reference, { ...reference, key: "gone/1" }] };
    await settled(run({ ...job, request }, accountDouble().open, via(provider), env));
    const [asked, options] = generate.mock.calls[0] ?? [];
    expect(asked).toMatchObject({
      generationId: job.generationId,
      prompt: "a lighthouse",
      renderQuality: "low",
    });
    const [stored, gone] = options?.references ?? [];
    expect(stored).toMatchObject({ contentType: "image/png", bytes: B.length });
    expect(await new Response(await stored?.open()).bytes()).toEqual(B);
    await expect(gone?.open()).rejects.toMatchObject({ failure: { reason: "invalid" } });
  });
});

describe("a permanent failure", () => {
  it.each<[ProviderFailure, boolean]>([
    [{ reason: "invalid" }, true],
    [{ reason: "misconfigured" }, true],
    [{ reason: "unreadable" }, true],
    [{ reason: "unavailable", retryAfterMs: null }, false],
    [{ reason: "undelivered" }, false],
    [{ reason: "refused" }, false],
  ])("%j: %s", async (failure, permanent) => {
    const { result } = await runScripted(jobOf(1), [[failure], [failure], [failure]]);
    expect(result?.permanent ?? false).toBe(permanent);
  });

  it("is the client's when its reference is unreadable", async () => {
    const job = jobOf(1);
    const reference = { key: "gone/1", contentType: "image/png", bytes: B.length, sha256: "0" } as const;
    const request = { ...job.request, references: [reference] };
    const { result, asked } = await runScripted({ ...job, request }, [[{ reason: "unreadable" }], [A]]);
    expect([result, asked.length]).toEqual([{ images: [], failure: "unreadableReference" }, 1]);
  });
});

describe("storage that fails", () => {
  it.each([1, STORAGE_ATTEMPTS - 1])("%i times: the image is stored, and bought once", async (times) => {
    const { bucket } = watched(env.IMAGES, "put", times);
    const account = accountDouble();
    const provider = scripted([A, B]);
    await settled(run(jobOf(2), account.open, via(provider), { ...env, IMAGES: bucket }));
    expect(account.seen.results[0]?.images.map(({ width }) => width)).toEqual([1, 2]);
    expect([provider.requests.length, account.seen.asked]).toEqual([1, 0]);
  });

  it.each<[what: string, Step[], widths: number[]]>([
    ["for one image: the others of the response are kept", [A, B, C], [2, 3]],
    ["and then the provider: nothing is bought again", [A, B, U], [2]],
  ])("%s", async (_, script, widths) => {
    const { bucket } = watched(env.IMAGES, "put", STORAGE_ATTEMPTS);
    const job = jobOf(3);
    const account = accountDouble();
    const provider = scripted(script, [A, B, C]);
    await settled(run(job, account.open, via(provider), { ...env, IMAGES: bucket }));
    const [result] = account.seen.results;
    expect([result?.images.map(({ width }) => width), result?.failure]).toEqual([widths, "generationFailed"]);
    expect([provider.requests.length, account.seen.asked]).toEqual([1, 0]);
    expect(await keysOf(job)).toHaveLength(widths.length);
  });

  it("in the middle of a large image, permanently: the rest of the response is still read", async () => {
    const { bucket, unfinished } = watched(env.IMAGES, "uploadPart", STORAGE_ATTEMPTS);
    const account = accountDouble();
    const provider = scripted([() => filled(A, 12 * 1024 * 1024), B]);
    await settled(run(jobOf(2), account.open, via(provider), { ...env, IMAGES: bucket }));
    const [result] = account.seen.results;
    expect([result?.images.map(({ width }) => width), result?.failure]).toEqual([[2], "generationFailed"]);
    expect([provider.requests.length, unfinished.size]).toEqual([1, 0]);
  });
});

describe("a body that fails", () => {
  it("half-way is not stored, and is requested again", async () => {
    const { bucket, unfinished } = watched(env.IMAGES);
    const job = jobOf(2);
    const account = accountDouble();
    const sixMebibytes = 6 * 1024 * 1024;
    const broken = async function* () {
      yield* filled(B, sixMebibytes);
      throw new Error("the connection was cut");
    };
    const provider = scripted([A, broken], [C]);
    await settled(run(job, account.open, via(provider), { ...env, IMAGES: bucket }));
    expect(account.seen.results[0]?.images.map(({ width }) => width)).toEqual([1, 3]);
    expect(provider.requests[1]).toMatchObject({ n: 1, offset: 1 });
    expect(await keysOf(job)).toHaveLength(2);
    expect([...unfinished]).toEqual([]);
  });

  it.each([
    [IMAGE_BYTES_MAX, 1],
    [IMAGE_BYTES_MAX + 1, 0],
  ])("of %i bytes: %i stored", async (bytes, stored) => {
    const { bucket, unfinished } = watched(env.IMAGES);
    const job = jobOf(1);
    const account = accountDouble();
    const provider = scripted([() => filled(A, bytes, 1024 * 1024)]);
    vi.useRealTimers();
    await run(job, account.open, via(provider), { ...env, IMAGES: bucket });
    vi.useFakeTimers();
    expect(account.seen.results[0]?.images).toHaveLength(stored);
    expect(await keysOf(job)).toHaveLength(stored);
    expect([...unfinished]).toEqual([]);
    await env.IMAGES.delete(await keysOf(job));
  });
});

describe("retries", () => {
  it("wait longer each time", async () => {
    const { ms } = await runScripted(jobOf(1), [[U], [U], [A]]);
    expect(ms).toBeGreaterThanOrEqual(3_000);
    expect(ms).toBeLessThan(10_000);
  });

  it("do not wait when no further call is allowed", async () => {
    const late = { reason: "unavailable", retryAfterMs: 60_000 } as const;
    const { ms, asked } = await runScripted(jobOf(1), [[late]], { calls: 0 });
    expect(asked).toHaveLength(1);
    expect(ms).toBeLessThan(10_000);
  });

  it.each([
    ["not before the provider says", 90_000, [1]],
    ["not when that is past the work's end", 720_000, []],
  ])("%s", async (_, retryAfterMs, widths) => {
    const ran = await runScripted(jobOf(1), [[{ reason: "unavailable", retryAfterMs }], [A]]);
    expect(ran.widths).toEqual(widths);
    if (widths.length > 0) expect(ran.ms).toBeGreaterThanOrEqual(retryAfterMs);
    else expect(ran.ms).toBeLessThan(10_000);
  });

  it("leave recovery to the lease when the account does not respond to the request for a call", async () => {
    const account = accountDouble();
    const open = (): JobAccount => ({
      ...account.open(),
      async renew() {
        throw new Error("the object was reset");
      },
    });
    const running = run(jobOf(1), open, via(scripted([U], [A])), env);
    await expect(settled(running)).rejects.toThrow("the object was reset");
    expect(account.seen.finishes).toBe(0);
  });
});

describe("a later run", () => {
  const rerunOf = (n: number) => jobOf(n, { fence: 2, mayCall: false });

  it.each<
    [what: string, stored: number, calls: number, widths: number[], failure: string | null, asked: number[][]]
  >([
    ["adopts all, and calls nobody", 2, 2, [1, 2], null, []],
    ["adopts what is whole, and asks for the rest", 1, 2, [1, 3], null, [[1, 1]]],
    ["adopts what is whole when no call is left", 1, 0, [1], "generationFailed", []],
    ["has nothing when nothing is stored and no call is left", 0, 0, [], "generationFailed", []],
    ["asks for everything when nothing is stored", 0, 1, [3], null, [[2, 0]]],
  ])("%s", async (_, stored, calls, widths, failure, asked) => {
    const job = rerunOf(2);
    const earlier = await runScripted({ ...job, fence: 1, mayCall: true }, [[A, B].slice(0, stored)]);
    const ran = await runScripted(job, [[C]], { calls });
    expect(ran.widths?.toSorted()).toEqual(widths);
    expect(ran.asked).toEqual(asked);
    expect(ran.result?.failure).toBe(failure);
    const facts = ({ id, key, bytes, contentType }: RunResult["images"][number]) => ({
      id,
      key,
      bytes,
      contentType,
    });
    expect(ran.result?.images.map(facts)).toEqual(
      expect.arrayContaining(earlier.result?.images.map(facts) ?? []),
    );
  });

  it("does not call again after undelivered images: the earlier run may have paid for some", async () => {
    const { asked, result } = await runScripted(rerunOf(1), [[LOST], [A]]);
    expect([asked, result?.failure]).toEqual([[[1, 0]], "generationFailed"]);
  });

  it("leaves recovery to the lease when stored images cannot be listed", async () => {
    const { bucket } = watched(env.IMAGES, "list");
    const account = accountDouble();
    const provider = scripted([A]);
    await expect(
      settled(run(rerunOf(1), account.open, via(provider), { ...env, IMAGES: bucket })),
    ).rejects.toThrow("R2 fails on list");
    expect([provider.requests.length, account.seen.finishes]).toEqual([0, 0]);
  });
});

it("goes on without a gate that cannot be reached, and says so in the log", async () => {
  const unreachable = () => {
    throw new Error("the object was reset");
  };
  vi.spyOn(ProviderGate.prototype, "take").mockImplementation(unreachable);
  vi.spyOn(ProviderGate.prototype, "report").mockImplementation(unreachable);
  const routes = [
    { name: "openai", provider: scripted([U], [A]), providerModel: "x", gate: "unreachable" } as const,
  ];
  const { open, seen } = accountDouble();
  const job = jobOf(1);
  await settled(run(job, open, { userId: "user_1", routes, onBusy: "defer" }, env));
  expect(seen.results).toMatchObject([{ images: [{ width: 1 }], failure: null }]);
  const lines = logged.mock.calls.map(([line]) => JSON.parse(line));
  const told = { provider: "unreachable", generation_id: job.generationId };
  expect(lines.filter(({ event }) => event.startsWith("gate_"))).toMatchObject([
    { event: "gate_unreachable", ...told },
    { event: "gate_report_failed", ...told },
    { event: "gate_unreachable", ...told },
  ]);
});

describe("the lease", () => {
  it("is renewed each minute, also after a failure, with a new stub", async () => {
    const started = Date.now();
    const { seen, widths } = await runScripted(
      jobOf(1),
      [[{ reason: "unavailable", retryAfterMs: 200_000 }], [A]],
      { failingRenewals: 1 },
    );
    expect(seen.renewals).toEqual([
      { at: started + 60_000, kept: false },
      { at: started + 120_000, kept: true },
      { at: started + 180_000, kept: true },
    ]);
    expect(widths).toEqual([1]);
  });

  it("once lost, aborts the provider, and reports the stored images", async () => {
    const { ms, asked, widths } = await runScripted(jobOf(2), [[A, "stall"], [B]], { lease: "lost" });
    expect(ms).toBeGreaterThanOrEqual(60_000);
    expect(ms).toBeLessThan(70_000);
    expect([asked, widths]).toEqual([[[2, 0]], [1]]);
  });
});

describe("the end of the run's time", () => {
  it("aborts a stalled provider, and delivers the stored images", async () => {
    const { ms, asked, widths, result } = await runScripted(jobOf(2), [[A, "stall"], [B]]);
    expect(ms).toBeGreaterThanOrEqual(720_000);
    expect(ms).toBeLessThan(730_000);
    expect([asked, widths, result?.failure]).toEqual([[[2, 0]], [1], "generationFailed"]);
  });

  it("in the past, makes no call", async () => {
    const { asked, result } = await runScripted(jobOf(1, { workUntil: Date.now() - 1 }), [[A]]);
    expect([asked, result?.failure]).toEqual([[], "generationFailed"]);
  });
});

describe("reporting the result", () => {
  it.each([
    [0, 1, "stale"],
    [3, 4, "stale"],
    [4, 4, undefined],
  ])("after %i failures: %i attempts", async (failingFinishes, finishes, kind) => {
    const { outcome, seen } = await runScripted(jobOf(1), [[A]], { failingFinishes });
    expect([seen.finishes, outcome?.kind]).toEqual([finishes, kind]);
  });
});
