import { AsyncLocalStorage } from "node:async_hooks";
import { afterEach, expect, inject, it, vi } from "vitest";
import { createBlackForestLabs } from "../../../src/providers/black-forest-labs/index.ts";
import {
  ANSWER_BYTES_MAX,
  POLL_FAILURES_MAX,
  POLLS_MAX,
  STATE_LENGTH_MAX,
} from "../../../src/providers/wire/poll.ts";
import { collect, Notebook, plain, submissionsOf } from "../../support/polled.ts";

const url = inject("bflDouble");
const at = { apiKey: "bfl-test", log: () => undefined, pollWaitMs: 0 };
const pending = () => Response.json({ status: "Pending" });
const ready = () => Response.json({ status: "Ready", result: { sample: "https://cdn.test/a.png" } });
const undelivered = { failure: { reason: "undelivered" } };
const timeout = { failure: { reason: "timeout" } };

afterEach(() => {
  vi.restoreAllMocks();
});

/** Asks a provider whose task has this polling URL, and whose answer to poll number `polls` is the given one. */
async function ask(
  answer: (polls: number, init: RequestInit | undefined) => Response | Promise<Response>,
  { pollUrl = "https://api.eu2.bfl.ai/v1/get_result?id=1", pollWaitMs = 0, n = 1 } = {},
) {
  const polled: { url: string; headers: unknown }[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (address, init) => {
    if (init?.method === "POST") {
      await new Response(init.body).bytes();
      return Response.json({ id: "1", polling_url: pollUrl });
    }
    if (String(address) === "https://cdn.test/a.png") return new Response(new Uint8Array(100));
    polled.push({ url: String(address), headers: init?.headers });
    return await answer(polled.length, init);
  });
  const provider = createBlackForestLabs({ ...at, baseUrl: "https://api.bfl.ai", pollWaitMs });
  return { ...(await collect(provider, { ...plain, n })), polled };
}

it.each([
  "https://api.bfl.ai/v1/get_result?id=1",
  "https://api.eu2.bfl.ai/v1/get_result?id=1",
  "https://api.bfl.ml/v1/get_result?id=1",
])("sends the key to %s", async (pollUrl) => {
  const { images, polled } = await ask(ready, { pollUrl });
  expect(images).toHaveLength(1);
  expect(polled).toMatchObject([{ url: pollUrl, headers: { "x-key": "bfl-test" } }]);
});

it.each([
  "http://api.eu2.bfl.ai/v1/get_result?id=1",
  "https://api.eu2.bfl.ai:8443/v1/get_result?id=1",
  "https://api.bfl.ai@example.com/v1/get_result?id=1",
  "https://user:password@api.bfl.ai/v1/get_result?id=1",
  "https://notbfl.ai/v1/get_result?id=1",
  "https://bfl.ai.example.com/v1/get_result?id=1",
  "/v1/get_result?id=1",
  "",
])("does not send the key to %s", async (pollUrl) => {
  const { error, polled } = await ask(ready, { pollUrl });
  expect(error).toMatchObject(undelivered);
  expect(polled).toEqual([]);
});

it.each(["Error", "Content Moderated"])(
  "throws the refusal of one task before other failures: %s first",
  async (first) => {
    const last = first === "Error" ? "Content Moderated" : "Error";
    const statuses = [first, "Task not found", last];
    const { error, polled } = await ask((polls) => Response.json({ status: statuses[polls - 1] }), { n: 3 });
    expect(error).toMatchObject({ failure: { reason: "refused" } });
    expect(polled).toHaveLength(3);
  },
);

it.each([
  [POLLS_MAX, null],
  [POLLS_MAX + 1, timeout],
])("polls a task that is ready at poll %i", async (last, failure) => {
  const { error, polled } = await ask((polls) => (polls < last ? pending() : ready()));
  if (failure === null) expect(error).toBeNull();
  else expect(error).toMatchObject(failure);
  expect(polled).toHaveLength(POLLS_MAX);
});

it.each([
  [POLL_FAILURES_MAX, null],
  [POLL_FAILURES_MAX + 1, undelivered],
])("takes %i failed polls in a row", async (failed, failure) => {
  // A poll that succeeds begins a new row.
  const { error } = await ask((polls) => {
    if (polls === failed + 1) return pending();
    return polls <= 2 * failed + 1 ? new Response("gateway", { status: 503 }) : ready();
  });
  if (failure === null) expect(error).toBeNull();
  else expect(error).toMatchObject(failure);
});

it.each([
  [ANSWER_BYTES_MAX, 1],
  [ANSWER_BYTES_MAX + 1, 2],
])("reads an answer of %i bytes: %i polls", async (bytes, count) => {
  const text = '{"status":"Ready","result":{"sample":"https://cdn.test/a.png"},"pad":""}';
  const long = text.replace('""', `"${"x".repeat(bytes - text.length)}"`);
  const { images, polled } = await ask((polls) => (polls === 1 ? new Response(long) : ready()));
  expect([images.length, polled.length]).toEqual([1, count]);
});

it.each([
  [0, null],
  [1, undelivered],
])("saves a state of the longest length and %i more", async (more, failure) => {
  const base = `long ${crypto.randomUUID()}`;
  const provider = createBlackForestLabs({ ...at, baseUrl: url });
  const saveLong = async (padding: number) => {
    const task = new Notebook();
    const prompt = `${base} [fault:long-url-${padding}]`;
    return { ...(await collect(provider, { ...plain, prompt }, { task })), task };
  };
  const short = (await saveLong(0)).task.saved?.length ?? 0;
  const { images, error, task } = await saveLong(STATE_LENGTH_MAX + more - short);
  if (failure === null) {
    expect([images.length, error, task.saved?.length]).toEqual([1, null, STATE_LENGTH_MAX]);
  } else {
    expect(error).toMatchObject(failure);
    expect(task.states).toEqual([]);
  }
  expect(await submissionsOf(url, base)).toHaveLength(2);
});

const ownTimers = { setTimeout: globalThis.setTimeout };

/** Set inside the work of {@link onFakeTime}. Objects of other tests share this Worker, and set timers at any time. */
const inside = new AsyncLocalStorage<Set<unknown>>();

/** Runs on a clock that the test moves, 100 ms a step, until it is done. No timer of the work may be left then. */
async function onFakeTime<T>(work: () => Promise<T>): Promise<{ result: T; ms: number }> {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const timers = new Set<unknown>();
  // Not spies: restoring all mocks later would put these fake timers back.
  replaceTimers(
    (callback: () => void, milliseconds: number) => {
      const own = inside.getStore();
      const timer = set(() => {
        own?.delete(timer);
        callback();
      }, milliseconds);
      own?.add(timer);
      return timer;
    },
    (timer: ReturnType<typeof setTimeout>) => {
      timers.delete(timer);
      clear(timer);
    },
  );
  try {
    const startedAt = Date.now();
    let done = false;
    const result = inside.run(timers, work).finally(() => {
      done = true;
    });
    while (!done) {
      await vi.advanceTimersByTimeAsync(100);
      await scheduler.wait(0);
    }
    expect(timers.size).toBe(0);
    return { result: await result, ms: Date.now() - startedAt };
  } finally {
    replaceTimers(set, clear);
    vi.useRealTimers();
  }
}

function replaceTimers(set: unknown, clear: unknown): void {
  const both = { configurable: true, enumerable: true, writable: true };
  Object.defineProperty(globalThis, "setTimeout", { ...both, value: set });
  Object.defineProperty(globalThis, "clearTimeout", { ...both, value: clear });
}

afterEach(() => {
  // Tests of other files run in this Worker later, on its own clock.
  expect(vi.isFakeTimers()).toBe(false);
  expect(globalThis.setTimeout).toBe(ownTimers.setTimeout);
});

it("waits as long as a failed poll asks for, and longer from poll to poll", async () => {
  const times: number[] = [];
  const { result } = await onFakeTime(() =>
    ask(
      (polls) => {
        times.push(Date.now());
        if (polls === 1) return new Response(null, { status: 429, headers: { "retry-after": "20" } });
        return polls < 30 ? pending() : ready();
      },
      { pollWaitMs: 500 },
    ),
  );
  expect(result.error).toBeNull();
  const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  expect(waits[0]).toBeGreaterThanOrEqual(20_000);
  expect(waits[1]).toBeLessThan(5_000);
  expect(Math.max(...waits.slice(1))).toBeGreaterThan(3_000);
  // At most the longest interval with its jitter, and the steps of this clock.
  expect(Math.max(...waits.slice(1))).toBeLessThan(12_000);
});

/** An answer that never comes. */
const silence = (init: RequestInit | undefined) =>
  new Promise<never>((_, reject) => {
    init?.signal?.addEventListener("abort", () => reject(new Error("aborted")));
  });

it("gives up a submission without a response after two minutes, and it may have been billed", async () => {
  vi.spyOn(globalThis, "fetch").mockImplementation((_, init) => silence(init));
  const provider = createBlackForestLabs({ ...at, baseUrl: "https://api.bfl.ai" });
  const { result, ms } = await onFakeTime(() => collect(provider, plain));
  expect(result.error).toMatchObject(timeout);
  expect(ms).toBeGreaterThanOrEqual(120_000);
  expect(ms).toBeLessThan(125_000);
});

it("polls again when a poll has no response after 15 seconds", async () => {
  const { result, ms } = await onFakeTime(() =>
    ask((polls, init) => (polls === 1 ? silence(init) : ready())),
  );
  expect(result.error).toBeNull();
  expect(ms).toBeGreaterThanOrEqual(15_000);
  expect(ms).toBeLessThan(20_000);
});
