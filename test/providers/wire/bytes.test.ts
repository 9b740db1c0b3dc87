import { expect, it, vi } from "vitest";
import { type ByteSource, READ_BYTES, readBytes } from "../../../src/providers/wire/bytes.ts";

const never = new AbortController().signal;
const patient = { idleMs: 1000, signal: never, bytesMax: 1 << 30 };

it("reads at most one piece ahead of its reader", async () => {
  let made = 0;
  const body = streamOf((controller) => {
    made++;
    controller.enqueue(new Uint8Array(1000));
  });
  const source = readBytes(body, patient);
  await source.next();
  expect(made).toBeLessThanOrEqual(2);
  await source.cancel();
});

it("returns pieces of bounded size, and null at the end", async () => {
  const lengths = [];
  const source = readBytes(new Blob([new Uint8Array(3 * READ_BYTES + 5)]).stream(), patient);
  for (let piece = await source.next(); piece !== null; piece = await source.next())
    lengths.push(piece.length);
  expect(Math.max(...lengths)).toBeLessThanOrEqual(READ_BYTES);
  expect(lengths.reduce((sum, length) => sum + length)).toBe(3 * READ_BYTES + 5);
  expect(await source.next()).toBeNull();
});

it.each([
  [1000, null],
  [999, "too long"],
])("takes 1000 bytes within a bound of %i: %s", async (bytesMax, failure) => {
  const source = readBytes(new Blob([new Uint8Array(1000)]).stream(), { ...patient, bytesMax });
  expect(await failureOf(source)).toBe(failure);
});

it("lets a slow stream continue, and ends a silent one", async () => {
  const slow = streamOf(async (controller, turn) => {
    await scheduler.wait(40);
    if (turn < 5) controller.enqueue(new Uint8Array(1));
    else controller.close();
  });
  expect(await failureOf(readBytes(slow, { ...patient, idleMs: 120 }))).toBeNull();
  let cancelled = false;
  const silent = new ReadableStream({
    type: "bytes",
    cancel() {
      cancelled = true;
    },
  });
  const source = readBytes(silent, { ...patient, idleMs: 50 });
  expect(await failureOf(source)).toBe("stalled");
  expect(cancelled).toBe(true);
  await expect(source.next()).rejects.toMatchObject({ failure: { reason: "undelivered" } });
});

it.each([
  ["broke", () => streamOf(() => Promise.reject(new Error("reset")))],
  ["aborted", (stop: AbortController) => streamOf(() => stop.abort())],
])("fails as: %s", async (failure, open) => {
  const stop = new AbortController();
  expect(await failureOf(readBytes(open(stop), { ...patient, signal: stop.signal }))).toBe(failure);
});

it("is aborted in the middle of a read without data", async () => {
  const stop = new AbortController();
  const source = readBytes(new ReadableStream({ type: "bytes" }), { ...patient, signal: stop.signal });
  setTimeout(() => stop.abort(), 20);
  expect(await failureOf(source)).toBe("aborted");
});

it.each<[string, (source: ByteSource) => Promise<unknown>]>([
  ["read to its end", failureOf],
  ["cancelled", (source) => source.cancel()],
])("leaves no timer behind when it is %s", async (_, use) => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const source = readBytes(new Blob([new Uint8Array(1000)]).stream(), patient);
    expect(vi.getTimerCount()).toBe(1);
    await use(source);
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});

type Pull = (controller: ReadableByteStreamController, turn: number) => void | Promise<void>;

function streamOf(pull: Pull): ReadableStream<Uint8Array> {
  let turn = 0;
  return new ReadableStream({
    type: "bytes",
    pull: (controller) => pull(controller, turn++),
  });
}

async function failureOf(source: ByteSource): Promise<string | null> {
  try {
    while ((await source.next()) !== null);
    return null;
  } catch (error) {
    expect(error).toMatchObject({ failure: { reason: "undelivered" } });
    return /too long|stalled|broke|aborted/.exec(String(error))?.[0] ?? String(error);
  }
}
