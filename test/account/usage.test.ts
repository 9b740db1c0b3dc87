import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { allowanceOf, periodAt } from "../../src/account/key-limit.ts";
import type { SubmitCommand } from "../../src/account/lifecycle.ts";
import type { UsageQuery, UsageRow } from "../../src/account/store/usage.ts";
import type { CreditLimit } from "../../src/keys/terms.ts";
import { createRandom } from "../../src/providers/sketch/random.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";
import {
  DAY,
  entriesOf,
  FAILED,
  HOUR,
  holdTimeAndQueue,
  MINUTE,
  newUserWith,
  pass,
  passWithAlarms,
  SECOND,
  type Stub,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

const EVERYTHING: UsageQuery = {
  ...{ livemode: true, firstDay: 0, lastDay: 1_000_000 },
  by: { day: true, key: true, model: true },
};
const report = (account: Stub, query: Partial<UsageQuery> = {}) =>
  account.usage({ ...EVERYTHING, ...query }, 10_000);

/** What the ledger says of each generation, summed by the day of its charge, its key and its model. */
async function fromLedger(
  account: Stub,
  made: ReadonlyMap<string, { key: string | null; model: string; images: number }>,
): Promise<UsageRow[]> {
  const rows = new Map<string, UsageRow>();
  const days = new Map<string, number>();
  for (const { kind, credits, generationId, createdAt } of await entriesOf(account)) {
    if (generationId === null || (kind !== "charge" && kind !== "refund")) continue;
    const { key, model, images } = made.get(generationId) ?? { key: null, model: "none", images: 0 };
    const isFirst = !days.has(generationId);
    const day = days.get(generationId) ?? Math.floor(createdAt / DAY);
    days.set(generationId, day);
    const id = `${day} ${key ?? ""} ${model}`;
    const row = rows.get(id) ?? { day, keyId: key ?? "", model, generations: 0, images: 0, credits: 0 };
    row.generations += isFirst ? 1 : 0;
    row.images += isFirst ? images : 0;
    row.credits -= credits;
    rows.set(id, row);
  }
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
}

const KEYS = [null, "key_1", "key_2"] as const;
const MODELS = ["gpt-image-2", "flux-2-pro"] as const;
const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);

describe("usage", () => {
  it.each(SEEDS)("equals the ledger after every step of any history: SEEDS = [%i]", async (seed) => {
    const random = createRandom(seed, "usage");
    const below = (limit: number) => Math.floor(random.between(0, limit));
    const { account } = await newUserWith(500);
    await account.grant("second", 300, Date.now() + 2 * DAY, null);
    const made = new Map<string, { key: string | null; model: string; images: number; n: number }>();
    const open = new Set<string>();
    for (let step = 0; step < 25; step++) {
      await passWithAlarms(account, random.pick([0, SECOND, MINUTE, HOUR, 7 * HOUR, DAY]));
      if (below(4) === 0) await evictDurableObject(account);
      for (const id of open) if ((await statusOf(account, id)) === "failed") open.delete(id);
      const id = [...open][below(open.size)];
      if (id === undefined || below(2) === 0) {
        const [key, model, n] = [random.pick(KEYS), random.pick(MODELS), 1 + below(4)];
        const command = aCommand(
          `gen_${100 + step}`,
          random.pick(["sync", "async"]),
          aRequest({ n, model }),
          8 * n,
        );
        if ((await account.submit({ ...command, keyId: key })).kind !== "accepted") continue;
        made.set(command.id, { key, model, n, images: 0 });
        open.add(command.id);
      } else if (below(4) === 0 && (await account.cancel(id)).kind === "canceled") {
        open.delete(id);
      } else {
        const begun = await account.begin(id);
        const fence = begun.kind === "run" ? begun.job.fence : 1;
        const work = made.get(id);
        if (work === undefined) continue;
        const images = random.pick([work.n, below(work.n + 1), 0]);
        const failure = random.pick(["generationFailed", "contentPolicyViolation"] as const);
        const outcome = await account.finish(id, fence, { images: imagesOf(id, images), failure });
        if (outcome.kind !== "settled") continue;
        made.set(id, { ...work, images: outcome.generation.images.length });
        open.delete(id);
      }
      expect(await report(account)).toEqual(await fromLedger(account, made));
    }
    await passWithAlarms(account, 3 * DAY);
    const rows = await report(account);
    expect(rows).toEqual(await fromLedger(account, made));
    const [total] = await report(account, { by: { day: false, key: false, model: false } });
    const sum = (of: (row: UsageRow) => number) => rows.reduce((all, row) => all + of(row), 0);
    expect(total).toEqual({
      ...{ day: null, keyId: null, model: null, generations: sum((row) => row.generations) },
      ...{ images: sum((row) => row.images), credits: sum((row) => row.credits) },
    });
  });

  it("is that of the days from the first to the last", async () => {
    const { account } = await newUserWith(100);
    const today = Math.floor(Date.now() / DAY);
    for (const offset of [0, 1, 2]) {
      await account.submit(aCommand(`gen_${offset}`, "sync", aRequest(), 8));
      await passWithAlarms(account, DAY);
    }
    const days = async (firstDay: number, lastDay: number) =>
      (await report(account, { firstDay, lastDay })).map(({ day }) => Number(day) - today);
    expect(await days(today, today + 2)).toEqual([0, 1, 2]);
    expect(await days(today + 1, today + 1)).toEqual([1]);
    expect(await days(today + 3, today + 9)).toEqual([]);
    expect((await account.usage(EVERYTHING, 2)).length).toBe(2);
  });

  it("of test keys is apart, and costs nothing", async () => {
    const { account } = await newUserWith(100);
    const request = aRequest({ test: { outcome: null, delaySeconds: 0, credits: 8 } });
    await account.submit({ ...aCommand("gen_1", "sync", request, 0), keyId: "key_test" });
    await account.finish("gen_1", 1, { images: imagesOf("gen_1", 1), failure: null });
    expect(await report(account)).toEqual([]);
    const counted = { keyId: "key_test", generations: 1, images: 1, credits: 0 };
    expect(await report(account, { livemode: false })).toMatchObject([counted]);
  });

  it("is one row for all of a day's generations by a key with a model", async () => {
    const { account } = await newUserWith(400);
    for (let at = 0; at < 5; at++) {
      const id = `gen_${at}`;
      await account.submit({ ...aCommand(id, "sync", aRequest(), 8), keyId: "key_1" });
      await account.finish(id, 1, at % 2 ? FAILED : { images: imagesOf(id, 1), failure: null });
    }
    const rows = await runInDurableObject(account, (_, { storage }) =>
      storage.sql.exec("SELECT * FROM usage").toArray(),
    );
    expect(rows).toMatchObject([{ key_id: "key_1", generations: 5, images: 3, credits: 24 }]);
  });
});

describe("the count of usage", () => {
  it("does not depend on the code that ends a generation, which an older release may be", async () => {
    const { account } = await newUserWith(400);
    await account.submit({ ...aCommand("gen_1", "sync", aRequest({ n: 2 }), 16), keyId: "key_1" });
    const end =
      "UPDATE generations SET status = 'succeeded', images = '[{}]', refunded = 8, ended_at = 1, error = NULL";
    await runInDurableObject(account, (_, { storage }) => {
      storage.sql.exec(end);
      storage.sql.exec("UPDATE generations SET ended_at = 2");
    });
    expect(await report(account)).toMatchObject([{ keyId: "key_1", generations: 1, images: 1, credits: 8 }]);
  });
});

describe("the period of a limit", () => {
  const at = (text: string) => Date.parse(text);
  it.each([
    ["day", "2026-02-28T23:59:59.999Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"],
    ["day", "2026-03-01T00:00:00.000Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"],
    ["month", "2026-12-31T23:59:59.999Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
    ["month", "2027-01-01T00:00:00.000Z", "2027-01-01T00:00:00Z", "2027-02-01T00:00:00Z"],
  ] as const)("%s at %s", (period, now, startsAt, endsAt) => {
    expect(periodAt(period, at(now))).toEqual({ startsAt: at(startsAt), endsAt: at(endsAt) });
  });

  it("never ends for a total", () => {
    expect(periodAt("total", at("2026-01-01T00:00:00Z"))).toEqual({ startsAt: 0, endsAt: null });
    const limit = { credits: 5, period: "total" } as const;
    expect(allowanceOf(limit, 6, 0)).toEqual({ available: 0, resetsAt: null });
  });
});

describe("the limit of a key", () => {
  const limited = (id: string, limit: CreditLimit, n = 1, mode: SubmitCommand["mode"] = "sync") => ({
    ...aCommand(id, mode, aRequest({ n }), 8 * n),
    ...{ keyId: "key_1", keyLimit: limit },
  });
  const daily = { credits: 40, period: "day" } as const;

  it("lets exactly 5 of 50 parallel submissions through", async () => {
    const { account } = await newUserWith(1_000);
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, at) => account.submit(limited(`gen_${100 + at}`, daily))),
    );
    const kinds = outcomes.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === "accepted").length).toBe(5);
    expect(kinds.filter((kind) => kind === "key_limited").length).toBe(45);
    expect((await account.balance()).credits).toBe(960);
  });

  it("says what is left and when the period ends, and counts no other key", async () => {
    const { account } = await newUserWith(1_000);
    await account.submit(limited("gen_1", daily, 4));
    await account.submit({ ...aCommand("gen_2", "sync", aRequest({ n: 4 }), 32), keyId: "key_2" });
    const resetsAt = periodAt("day", Date.now()).endsAt;
    const refused = { kind: "key_limited", available: 8, resetsAt };
    expect(await account.submit(limited("gen_3", daily, 2))).toMatchObject(refused);
    expect((await account.submit(limited("gen_3", daily))).kind).toBe("accepted");
    expect(await account.spentByKeys([{ keyId: "key_1", limit: daily }])).toEqual([
      { credits: 40, resetsAt },
    ]);
    expect(await account.spentByKeys([{ keyId: "key_2", limit: null }])).toEqual([
      { credits: 32, resetsAt: null },
    ]);
  });

  it("starts again at midnight UTC, and a refund goes back to the day of its charge", async () => {
    const { account } = await newUserWith(1_000);
    const midnight = periodAt("day", Date.now()).endsAt ?? 0;
    pass(midnight - 1 - Date.now());
    await account.submit(limited("gen_1", daily, 4));
    expect((await account.submit(limited("gen_2", daily, 2))).kind).toBe("key_limited");
    pass(1);
    expect((await account.submit(limited("gen_2", daily, 2))).kind).toBe("accepted");
    await account.finish("gen_1", 1, FAILED);
    const days = async () => (await report(account)).map(({ day, credits }) => [day, credits]);
    expect(await days()).toEqual([
      [midnight / DAY - 1, 0],
      [midnight / DAY, 16],
    ]);
    expect((await account.submit(limited("gen_3", daily, 4))).kind, "what came back is of yesterday").toBe(
      "key_limited",
    );
    await account.finish("gen_2", 1, FAILED);
    expect((await account.submit(limited("gen_3", daily, 4))).kind).toBe("accepted");
  });

  it("holds for a month and in total, through ends, evictions and the removal of old rows", async () => {
    const { account } = await newUserWith(1_000);
    const total = { credits: 16, period: "total" } as const;
    for (const id of ["gen_1", "gen_2"]) {
      expect((await account.submit(limited(id, total))).kind).toBe("accepted");
      await account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
      await passWithAlarms(account, 40 * DAY);
      await evictDurableObject(account);
    }
    expect(await account.submit(limited("gen_3", total))).toMatchObject({
      kind: "key_limited",
      resetsAt: null,
    });
    const monthly = { credits: 16, period: "month" } as const;
    const { endsAt } = periodAt("month", Date.now());
    expect((await account.submit(limited("gen_3", monthly, 2))).kind).toBe("accepted");
    expect(await account.submit(limited("gen_4", monthly))).toMatchObject({
      kind: "key_limited",
      resetsAt: endsAt,
    });
  });

  it("is checked after the rate and concurrency, and before the credits; a repeated request is not", async () => {
    const { account } = await newUserWith(8);
    const idempotency = { key: "k", fingerprint: "f" };
    await account.submit({ ...limited("gen_1", { credits: 8, period: "day" }), idempotency });
    const again = { ...limited("gen_2", { credits: 8, period: "day" }), idempotency };
    expect((await account.submit(again)).kind).toBe("repeated");
    expect((await account.submit(limited("gen_3", { credits: 8, period: "day" }))).kind).toBe("key_limited");
    expect((await account.submit(limited("gen_3", { credits: 16, period: "day" }))).kind).toBe(
      "insufficient",
    );
    await runInDurableObject(account, (instance) => {
      Reflect.set(instance, "env", { MAX_CONCURRENT_GENERATIONS: "1" });
    });
    expect((await account.submit(limited("gen_3", { credits: 8, period: "day" }))).kind).toBe("limited");
  });
});
