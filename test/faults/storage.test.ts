import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Account } from "../../src/account/account.ts";
import { reconcile } from "../../src/generations/reconcile.ts";
import { createRandom } from "../../src/providers/sketch/random.ts";
import { type Answer, call, newUser, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide, tinyImage } from "../support/tiny-provider.ts";

/** Storage fails for a while under a small mixed load. Afterwards everything is as if it had only been slow. */
const PATH = "/api/v1/images/generations";
const PRICE = 8;
const CREDITS = 400;
const LOAD = 6;
const SLOW_MS = 150;
const ALARMS_MAX = 60;
const SEED = 7;
const TIMEOUT_MS = 120_000;

type Fault = "down" | "failing 30 %" | "slow";
const FAULTS: readonly Fault[] = ["down", "failing 30 %", "slow"];

const queue: object = Object.getPrototypeOf(env.GENERATIONS);
const PLACES: Record<string, { owner: object; methods: readonly string[] }[]> = {
  D1: [
    { owner: Object.getPrototypeOf(env.DB), methods: ["batch"] },
    { owner: Object.getPrototypeOf(env.DB.prepare("")), methods: ["all", "run", "raw", "first"] },
  ],
  R2: [
    {
      owner: Object.getPrototypeOf(env.IMAGES),
      methods: ["get", "put", "head", "list", "delete", "createMultipartUpload"],
    },
  ],
  queue: [{ owner: queue, methods: ["send", "sendBatch"] }],
};

let restore: (() => void)[] = [];

beforeEach(() => {
  spyOnLog();
  // Failed attempts are retried at once: this does not test the clock.
  const { setTimeout } = globalThis;
  vi.spyOn(globalThis, "setTimeout").mockImplementation((work, milliseconds = 0) =>
    setTimeout(work, milliseconds < 3_000 ? milliseconds / 100 : milliseconds),
  );
});

afterEach(() => {
  clear();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

function clear(): void {
  for (const back of restore) back();
  restore = [];
}

/** Makes a store fail, or respond slowly, until {@link clear}. Returns a function that counts how often it did. */
function inject(fault: Fault, place: string): () => number {
  const random = createRandom(SEED, place);
  let struck = 0;
  for (const { owner, methods } of PLACES[place] ?? []) {
    for (const name of methods) {
      const original: (...parameters: unknown[]) => unknown = Reflect.get(owner, name);
      const troubled = async function (this: object, ...parameters: unknown[]) {
        if (fault === "slow") await scheduler.wait(SLOW_MS);
        const fails = fault === "down" || (fault === "failing 30 %" && random.chance(0.3));
        if (fails || fault === "slow") struck += 1;
        if (fails) throw new Error(`${place} is ${fault}`);
        return await Reflect.apply(original, this, parameters);
      };
      Reflect.set(owner, name, troubled);
      restore.push(() => Reflect.set(owner, name, original));
    }
  }
  return () => struck;
}

function submit({ id, key }: TestUser, at: number): Promise<Answer> {
  const fields = { model: "gpt-image-2", prompt: `hill ${at} of ${id}`, n: 1 + (at % 3 === 0 ? 1 : 0) };
  return call("POST", PATH, { key, json: { ...fields, async: at % 2 === 0 } });
}

/** Runs alarms until the account has nothing left to do. */
async function settle(user: TestUser): Promise<void> {
  const open = () => env.ACCOUNT.getByName(user.id);
  for (let alarms = 0; alarms < ALARMS_MAX; alarms++) {
    const left = await runInDurableObject<Account, boolean>(open(), async (instance, { storage }) => {
      const time = await storage.getAlarm();
      const [row] = storage.sql.exec("SELECT 1 FROM generations WHERE due_at IS NOT NULL LIMIT 1");
      const [pending] = storage.sql.exec(
        "SELECT 1 FROM entries WHERE seq > (SELECT entries FROM told) LIMIT 1",
      );
      if (row === undefined && pending === undefined) return false;
      expect(time, "an alarm is set while something is left to do").not.toBeNull();
      vi.setSystemTime(Math.max(time ?? 0, Date.now()));
      await storage.deleteAlarm();
      await instance.alarm();
      return true;
    });
    if (!left) return;
    // The queue delivers the alarm's messages in its own time.
    await scheduler.wait(100);
  }
  throw new Error("The account always has something left to do.");
}

describe.each(Object.keys(PLACES))("%s", (place) => {
  it.each(FAULTS)(
    "%s for a while: nothing is lost",
    async (fault) => {
      vi.useFakeTimers({ toFake: ["Date"] });
      const user = await newUser(CREDITS);
      // Half of the load is at the provider when the fault begins, and returns during it. The other half arrives during
      // it.
      const gate = Promise.withResolvers<void>();
      const provider = provide().mockImplementation(async function* ({ n, prompt }) {
        // Work of an earlier test may still come. It must not wait: the local queue runs one batch at a time.
        if (prompt.endsWith(user.id)) await gate.promise;
        for (let made = 0; made < n; made++) yield tinyImage();
      });
      const load = (count: number, from: number) =>
        Array.from({ length: count }, (_, at) => submit(user, from + at));
      // The local queue runs one batch at a time, and the first batch may have only one of the async ones.
      const atOnce = LOAD / 2 + 1;
      const before = load(LOAD, 0);
      const called = () => provider.mock.calls.filter(([{ prompt }]) => prompt.endsWith(user.id)).length;
      try {
        await vi.waitFor(() => expect(called()).toBeGreaterThanOrEqual(atOnce), {
          timeout: 30_000,
          interval: 50,
        });
      } catch (error) {
        // Releases waiting calls, so that they do not disturb later tests.
        gate.resolve();
        throw error;
      }
      const failures = inject(fault, place);
      const during = load(2 * LOAD, LOAD);
      gate.resolve();
      const answers = await Promise.all([...before, ...during]);
      // An alarm during the fault changes nothing, and does not throw.
      await runInDurableObject<Account, void>(env.ACCOUNT.getByName(user.id), (instance) => instance.alarm());
      expect(failures(), "it did fail").toBeGreaterThan(0);
      clear();
      await settle(user);

      for (const { status, body } of answers) {
        expect([200, 202, 402, 429, 500, 503]).toContain(status);
        if (status === 500) expect(JSON.stringify(body)).toMatch(/generationFailed|internalError/);
      }
      const account = env.ACCOUNT.getByName(user.id);
      const audited = await account.audit("", 100);
      const all = await account.generations(
        { status: null, model: null, createdAfter: null, createdBefore: null },
        null,
        100,
      );
      expect(audited.generations.length, "every accepted generation has ended").toBe(all.length);
      const used = audited.generations.reduce((sum, { images }) => sum + PRICE * images.length, 0);
      expect([audited.balance, audited.held, audited.entries.credits]).toEqual(Array(3).fill(CREDITS - used));
      const answered = answers.filter(({ status }) => status === 200 || status === 202).length;
      expect(all.length).toBeGreaterThanOrEqual(answered);
      const from = { userId: user.id.slice(0, -1), generationId: "" };
      const { differences } = await reconcile(env, from, false, Date.now());
      expect(differences.filter(({ userId }) => userId === user.id)).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
