import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type * as z from "zod";
import { Account } from "../../src/account/account.ts";
import { type Config, readConfig } from "../../src/config.ts";
import { GenerationInput } from "../../src/generations/input.ts";
import { GenerationRunner } from "../../src/generations/runner.ts";
import { type Submission, submit } from "../../src/generations/submit.ts";
import { admitUpload } from "../../src/generations/uploads.ts";
import { newId } from "../../src/id.ts";
import { FORM_NAMES } from "../../src/references/entries.ts";
import { png } from "../images/samples.ts";
import { aCommand, aRequest } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { drawWith, UNAVAILABLE } from "../support/provider.ts";
import { holdQueue } from "../support/queue.ts";
import { newUser } from "../support/user.ts";

const LEASE_MS = 150_000;
const config = readConfig(env);

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Changes = Partial<z.input<typeof GenerationInput>> & Pick<Partial<Submission>, "mode">;

function submissionOf(userId: string, { mode = "sync", ...fields }: Changes = {}): Submission {
  return {
    ...{ id: newId("gen"), userId, mode, idempotencyKey: null, sdk: null, key: null, uploadId: null },
    input: GenerationInput.parse({
      ...{ model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024", n: 1 },
      ...fields,
    }),
    ...{ references: [], names: FORM_NAMES, origin: "https://hub.example", test: null },
  };
}

/** Submits for a new user with 100 credits, whose account is idle. */
async function submitNew(changes: Changes = {}, settings: Partial<Config> = {}) {
  const { id: userId } = await newUser();
  const submission = submissionOf(userId, changes);
  const account = env.ACCOUNT.getByName(userId);
  await runDurableObjectAlarm(account);
  const submitted = submit(submission, env, { ...config, ...settings });
  return { id: submission.id, account, submitted };
}

async function later(account: DurableObjectStub<Account>, milliseconds: number): Promise<void> {
  vi.setSystemTime(Date.now() + milliseconds);
  await runDurableObjectAlarm(account);
}

function fakeDate() {
  vi.useFakeTimers({ toFake: ["Date"] });
}

describe("submit", () => {
  it("returns the images and the balance", async () => {
    drawWith([png(1, 1)]);
    const { id, submitted } = await submitNew();
    expect(await submitted).toMatchObject({
      kind: "ended",
      generation: { id, status: "succeeded", creditsCharged: 8, creditsRefunded: 0, images: [{ width: 1 }] },
      balance: { credits: 92 },
    });
  });

  it("refunds missing images, and everything when the provider fails", async () => {
    drawWith([png(1, 1)], [{ reason: "misconfigured" }]);
    expect(await (await submitNew({ n: 3 })).submitted).toMatchObject({
      generation: { status: "succeeded", creditsCharged: 24, creditsRefunded: 16 },
      balance: { credits: 92 },
    });
    expect(await (await submitNew({ n: 3 })).submitted).toMatchObject({
      generation: { status: "failed", error: "generationFailed", creditsRefunded: 24 },
      balance: { credits: 100 },
    });
  });

  it("returns at once when async, and the queue runs it", async () => {
    drawWith([png(1, 1)]);
    const { id, account, submitted } = await submitNew({ mode: "async" });
    expect(await submitted).toMatchObject({ kind: "pending", generation: { id, status: "queued" } });
    await vi.waitUntil(async () => (await account.generation(id))?.status === "succeeded", 4_000);
  });

  it.each<[what: string, Changes, Partial<Config>, object]>([
    ["a size that cannot be", { size: "1x1" }, {}, { kind: "invalid", param: "size" }],
    [
      "a format the provider does not make",
      { output_format: "webp" },
      {},
      { kind: "invalid", param: "output_format" },
    ],
    ["no provider", {}, { IMAGE_PROVIDER: "openai" }, { kind: "unavailable" }],
  ])("refuses %s, and charges nothing", async (what, changes, settings, refusal) => {
    const provider = drawWith([png(1, 1)]);
    const { account, submitted } = await submitNew(changes, settings);
    expect([what, await submitted]).toMatchObject([what, refusal]);
    expect([provider.requests.length, await account.balance()]).toMatchObject([0, { credits: 100 }]);
  });
});

describe("with insufficient credits", () => {
  it.each([
    [16, "ended"],
    [15, "insufficient"],
  ])("two images of 8 with %i: %s", async (credits, kind) => {
    drawWith([png(1, 1), png(2, 1)]);
    const { id } = await newUser(credits);
    const submitted = await submit(submissionOf(id, { n: 2 }), env, config);
    expect(submitted.kind).toBe(kind);
    if (submitted.kind === "insufficient") expect(submitted).toMatchObject({ required: 16, available: 15 });
  });
});

describe("when the account does not respond to a submission", () => {
  beforeEach(() => {
    const setReal = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((...[work, milliseconds]) =>
      Reflect.apply(setReal, globalThis, [work, (milliseconds ?? 0) / 20]),
    );
  });

  const submitOf = Account.prototype.submit;

  it("retries with the same id: charged once", async () => {
    const provider = drawWith([png(1, 1)]);
    const asked = vi.spyOn(Account.prototype, "submit").mockImplementationOnce(async function (
      this: Account,
      ...parameters
    ) {
      await Reflect.apply(submitOf, this, parameters);
      throw new Error("the reply was lost");
    });
    const { submitted } = await submitNew();
    expect(await submitted).toMatchObject({ kind: "ended", balance: { credits: 92 } });
    expect([asked.mock.calls.length, provider.requests.length]).toEqual([2, 1]);
  });

  const lost = new Error("the reply was lost");
  const overloaded = Object.assign(new Error("too many requests"), { overloaded: true });

  it.each([
    ["its outcome is unknown", [lost, lost, lost], "unknown"],
    ["nothing was charged when it was never handed on", [overloaded, overloaded, overloaded], "unavailable"],
    [
      "its outcome is unknown when it may have been handed on once",
      [overloaded, lost, overloaded],
      "unknown",
    ],
  ])("three times: %s", async (_, errors, kind) => {
    const asked = vi.spyOn(Account.prototype, "submit");
    for (const error of errors) asked.mockRejectedValueOnce(error);
    const { submitted } = await submitNew();
    expect([await submitted, asked.mock.calls.length]).toEqual([{ kind }, 3]);
  });
});

describe("a sync generation", () => {
  it("is taken over at once when its runner dies", async () => {
    const provider = drawWith([png(1, 1)]);
    const run = vi.spyOn(GenerationRunner.prototype, "run");
    run.mockRejectedValueOnce(new Error("the object was reset"));
    const began = Date.now();
    const { submitted } = await submitNew();
    expect(await submitted).toMatchObject({
      kind: "ended",
      generation: { status: "succeeded", images: [{ width: 1 }] },
      balance: { credits: 92 },
    });
    expect(Date.now() - began).toBeLessThan(10_000);
    expect(run.mock.calls.map(([, job]) => job.fence)).toEqual([1, 2]);
    expect(provider.requests).toHaveLength(1);
  });

  it("is run again by the queue when its runner dies and cannot be taken over", async () => {
    fakeDate();
    const provider = drawWith([png(1, 1)]);
    vi.spyOn(GenerationRunner.prototype, "run").mockRejectedValue(new Error("the runner was let go"));
    vi.spyOn(Account.prototype, "takeOver").mockImplementation(() => {
      throw new Error("the object was reset");
    });
    const waiting = vi.spyOn(Account.prototype, "wait");
    const { account, submitted } = await submitNew();
    await vi.waitUntil(() => waiting.mock.calls.length > 0, 8_000);
    await later(account, LEASE_MS + 1_000);
    expect(await submitted).toMatchObject({
      kind: "ended",
      generation: { status: "succeeded", images: [{ width: 1 }] },
      balance: { credits: 92 },
    });
    expect(provider.requests).toHaveLength(1);
  });

  it("keeps images that a runner stored before it died", async () => {
    fakeDate();
    vi.spyOn(Math, "random").mockReturnValue(-1);
    const provider = drawWith([png(1, 1)]);
    const finish = Account.prototype.finish;
    const finished = vi
      .spyOn(Account.prototype, "finish")
      .mockRejectedValue(new Error("the object was reset"));
    const waiting = vi.spyOn(Account.prototype, "wait");
    const { account, submitted } = await submitNew();
    await vi.waitUntil(() => waiting.mock.calls.length > 0);
    finished.mockImplementation(function (this: Account, ...parameters) {
      return Reflect.apply(finish, this, parameters);
    });
    await later(account, LEASE_MS + 1_000);
    expect(await submitted).toMatchObject({ kind: "ended", balance: { credits: 92 } });
    expect(provider.requests).toHaveLength(1);
  });

  it("continues when its client disconnects", async () => {
    const hangUp = new AbortController();
    const slow = async function* () {
      await vi.waitUntil(() => hangUp.signal.aborted);
      yield png(1, 1);
    };
    const provider = drawWith([slow]);
    const { id: userId, key } = await newUser();
    const run = vi.spyOn(GenerationRunner.prototype, "run");
    const request = new Request("https://hub.example/api/v1/images/generations", {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ model: "gpt-image-2", prompt: "a lighthouse" }),
      signal: hangUp.signal,
    });
    const answer = exports.default.fetch(request).catch(() => null);
    await vi.waitUntil(() => provider.requests.length > 0);
    hangUp.abort();
    const [, job] = run.mock.calls[0] ?? [];
    const account = env.ACCOUNT.getByName(userId);
    const read = () => account.generation(job?.generationId ?? "");
    await vi.waitUntil(async () => (await read())?.status === "succeeded", 4_000);
    expect([provider.requests.length, await account.balance()]).toMatchObject([1, { credits: 92 }]);
    await answer;
  });

  it("fails at its deadline, and its caller gets the failure, even if its runner hangs", async () => {
    fakeDate();
    vi.spyOn(GenerationRunner.prototype, "run").mockImplementation(async () => {
      await scheduler.wait(2_000);
      return null;
    });
    const waiting = vi.spyOn(Account.prototype, "wait");
    const { account, submitted } = await submitNew({}, { RUN_DEADLINE_SECONDS: 0.01 });
    await vi.waitUntil(() => waiting.mock.calls.length > 0);
    await later(account, 800_000);
    expect(await submitted).toMatchObject({
      kind: "ended",
      generation: { status: "failed", error: "generationFailed", creditsRefunded: 8 },
      balance: { credits: 100 },
    });
  });

  it("is taken over at most five times, then awaited in the account", async () => {
    holdQueue();
    const setReal = globalThis.setTimeout;
    vi.spyOn(globalThis, "setTimeout").mockImplementation((...[work, milliseconds]) =>
      Reflect.apply(setReal, globalThis, [work, (milliseconds ?? 0) / 50]),
    );
    const run = vi.spyOn(GenerationRunner.prototype, "run");
    run.mockRejectedValue(new Error("the object was reset"));
    const { id, account, submitted } = await submitNew({}, { SYNC_WAIT_SECONDS: 60 });
    const waiting = vi.spyOn(Account.prototype, "wait");
    await vi.waitUntil(() => waiting.mock.calls.length > 0, 4_000);
    await account.finish(id, 6, { images: [], failure: "generationFailed" });
    expect(await submitted).toMatchObject({ kind: "ended", generation: { status: "failed" } });
    expect(run.mock.calls.map(([, job]) => job.fence)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it("is returned as it is when the wait is over", async () => {
    holdQueue();
    vi.spyOn(GenerationRunner.prototype, "run").mockRejectedValue(new Error("the runner was let go"));
    const waited = vi.spyOn(Account.prototype, "wait");
    // A wait of one second, plus the grace of five.
    const { id, submitted } = await submitNew({}, { SYNC_WAIT_SECONDS: -4 });
    expect(await submitted).toMatchObject({ kind: "pending", generation: { id, status: "processing" } });
    expect(waited.mock.calls.at(-1)?.[1]).toBeLessThanOrEqual(1_000);
  });
});

describe("an async generation", () => {
  it("that does not begin in time fails, and cannot begin any more", async () => {
    fakeDate();
    const provider = drawWith([png(1, 1)]);
    const held = holdQueue();
    const { id, account, submitted } = await submitNew({ mode: "async" });
    await submitted;
    await later(account, 3_599_000);
    expect(await account.generation(id)).toMatchObject({ status: "queued" });
    expect(held).toHaveBeenCalledTimes(2);
    await later(account, 1_000);
    expect(await account.generation(id)).toMatchObject({ status: "failed", creditsRefunded: 8 });
    expect(await account.begin(id)).toEqual({ kind: "finished" });
    expect(provider.requests).toEqual([]);
  });

  it("calls the provider three times in all, including the calls of a dead run", async () => {
    fakeDate();
    vi.spyOn(Math, "random").mockReturnValue(-1);
    const provider = drawWith([UNAVAILABLE], [UNAVAILABLE], [png(1, 1)]);
    const held = holdQueue();
    const { id, account, submitted } = await submitNew({ mode: "async" });
    await submitted;
    expect(await account.begin(id)).toMatchObject({ kind: "run", job: { fence: 1, mayCall: true } });
    held.mockRestore();
    await later(account, LEASE_MS);
    await vi.waitUntil(async () => (await account.generation(id))?.status === "failed", 4_000);
    expect([provider.requests.length, await account.balance()]).toMatchObject([2, { credits: 100 }]);
  });

  it("ends 800 s after it first began, reruns included", async () => {
    fakeDate();
    holdQueue();
    const { id, account, submitted } = await submitNew({ mode: "async" });
    await submitted;
    vi.setSystemTime(Date.now() + 3_000_000);
    const began = Date.now();
    expect(await account.begin(id)).toMatchObject({ kind: "run", job: { workUntil: began + 720_000 } });
    await later(account, LEASE_MS);
    expect(await account.begin(id)).toMatchObject({ job: { fence: 2, workUntil: began + 720_000 } });
    await later(account, 800_000 - LEASE_MS);
    expect(await account.generation(id)).toMatchObject({ status: "failed", creditsRefunded: 8 });
  });
});

const UPLOAD = {
  id: "upload_1",
  bodyBytes: null,
  idempotencyKey: null,
  sdk: null,
  livemode: true,
  key: null,
};

const ONLY_OPENAI = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-test" } as const;

describe("admitUpload", () => {
  it.each<[credits: number, Partial<Config>, object]>([
    // The built-in provider draws a model that costs 1 credit; OpenAI alone has none below 8.
    [1, {}, { kind: "admitted" }],
    [8, ONLY_OPENAI, { kind: "admitted" }],
    [7, ONLY_OPENAI, { kind: "insufficient", required: 8, available: 7 }],
    [8, { IMAGE_PROVIDER: "openai" }, { kind: "unavailable" }],
  ])("%i credits, %o: %o", async (credits, settings, admission) => {
    const { id } = await newUser(credits);
    expect(await admitUpload(id, UPLOAD, env, { ...config, ...settings })).toMatchObject(admission);
  });

  it("refuses while the account does not respond", async () => {
    vi.spyOn(Account.prototype, "admit").mockImplementation(() => {
      throw new Error("the object was reset");
    });
    expect(await admitUpload(newId("user"), UPLOAD, env, config)).toEqual({ kind: "unavailable" });
  });
});

describe("the fingerprint of a request", () => {
  it("of the previous release is still recognized", async () => {
    const { id: userId } = await newUser();
    const account = env.ACCOUNT.getByName(userId);
    const submit = (key: string, fingerprint: string, versionedFingerprint?: string) => {
      const order = aCommand(newId("gen"), "async", aRequest(), 8);
      const versioned = versionedFingerprint === undefined ? {} : { versionedFingerprint };
      return account.submit({ ...order, idempotency: { key, fingerprint }, ...versioned });
    };
    // Fingerprints of the previous release and of this one, in either order.
    expect((await submit("k", "old")).kind).toBe("accepted");
    expect((await submit("k", "old", "v1:new")).kind).toBe("repeated");
    expect((await submit("k", "another", "v1:another")).kind).toBe("conflict");
    expect((await submit("k2", "old", "v1:new")).kind).toBe("accepted");
    expect((await submit("k2", "changed by a release", "v1:new")).kind).toBe("repeated");
    expect((await submit("k2", "old", "v1:another")).kind).toBe("conflict");
  });
});
