import { evictDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { RefundCause } from "../../src/account/ledger.ts";
import { createRandom } from "../../src/providers/sketch/random.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";
import { NaiveCredits } from "../support/naive.ts";

import {
  ALL,
  DAY,
  entriesOf,
  HOUR,
  holdTimeAndQueue,
  loggedEntries,
  loggedGenerations,
  MINUTE,
  passWithAlarms,
  SECOND,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

/** To repeat one sequence, replace the list with its seed. */
const SEEDS = Array.from({ length: 16 }, (_, index) => index + 1);
const STEPS = 25;

describe("any sequence of calls, alarms and evictions", () => {
  it.each(SEEDS)("matches a naive ledger of single credits: SEEDS = [%i]", async (seed) => {
    const random = createRandom(seed, "account");
    const below = (limit: number) => Math.floor(random.between(0, limit));
    const { userId, account } = newUser();
    const naive = new NaiveCredits();
    const open = new Map<string, { n: number; price: number; fence: number }>();

    const passAndSettle = (milliseconds: number) =>
      passWithAlarms(account, milliseconds, async () => {
        for (const [id, { n, price }] of open) {
          if ((await statusOf(account, id)) !== "failed") continue;
          naive.finish(id, n * price, "fault", Date.now());
          open.delete(id);
        }
      });

    for (let step = 0; step < STEPS; step++) {
      await passAndSettle(random.pick([0, 1, SECOND, MINUTE, 10 * MINUTE, HOUR, DAY, 7 * DAY]));
      if (below(5) === 0) await evictDurableObject(account);
      const action = below(10);
      if (action < 3) {
        const lasts = random.pick([null, HOUR, DAY, 7 * DAY - 1, 7 * DAY, 7 * DAY + 1, 40 * DAY]);
        const [id, credits] = [`grant_${100 + step}`, 10 + below(60)];
        const expiresAt = lasts === null ? null : Date.now() + lasts;
        await account.grant(id, credits, expiresAt, null);
        naive.grant(id, credits, expiresAt);
      } else if (action < 7) {
        const [id, n, price] = [`gen_${100 + step}`, 1 + below(4), 8 + below(5)];
        const mode = random.pick(["sync", "async"] as const);
        const outcome = await account.submit(aCommand(id, mode, aRequest({ n }), n * price));
        expect(outcome.kind).toBe(naive.charge(id, n * price, Date.now()) ? "accepted" : "insufficient");
        if (outcome.kind === "accepted") open.set(id, { n, price, fence: mode === "sync" ? 1 : 0 });
      } else if (action === 7) {
        const id = [...open.keys()][below(open.size)];
        const work = id === undefined ? undefined : open.get(id);
        if (id === undefined || work === undefined) continue;
        const canceled = await account.cancel(id);
        expect(canceled.kind).toBe(work.fence === 0 ? "canceled" : "refused");
        if (canceled.kind !== "canceled") continue;
        naive.finish(id, work.n * work.price, "own", Date.now());
        open.delete(id);
      } else {
        const ids = [...open.keys()];
        const id = ids[below(ids.length)];
        const work = id === undefined ? undefined : open.get(id);
        if (id === undefined || work === undefined) continue;
        const begun = await account.begin(id);
        const fence = begun.kind === "run" ? begun.job.fence : work.fence;
        work.fence = fence;
        const count = random.pick([work.n, below(work.n + 1), 0]);
        const cause = random.pick<RefundCause>(["fault", "own"]);
        const failure = cause === "own" ? "contentPolicyViolation" : "generationFailed";
        const outcome = await account.finish(id, fence, { images: imagesOf(id, count), failure });
        if (outcome.kind === "stale") continue;
        naive.finish(id, work.price * (work.n - count), cause, Date.now());
        open.delete(id);
      }
      const now = Date.now();
      const { balance, grants, entries } = await account.statement(ALL, 1_000);
      expect(balance).toEqual({ credits: naive.credits(now), nextExpiration: naive.nextExpiration(now) });
      const left = grants.flatMap(({ id, remaining }) => (remaining > 0 ? [[id, remaining]] : []));
      expect(Object.fromEntries(left)).toEqual(naive.remaining(now));
      expect(entries.reduce((sum, { credits }) => sum + credits, 0)).toBe(balance.credits);
    }
    await passAndSettle(2 * HOUR);
    expect([...open.keys()]).toEqual([]);
    expect(naive.open()).toBe(0);
    expect(await loggedEntries(userId)).toEqual(await entriesOf(account));
    const logged = await loggedGenerations(userId);
    const used = logged.reduce((sum, row) => sum + row.creditsCharged - row.creditsRefunded, 0);
    const net = (await entriesOf(account)).filter(({ kind }) => kind === "charge" || kind === "refund");
    expect(net.reduce((sum, { credits }) => sum + credits, 0)).toBe(-used || 0);
    for (const { id, creditsCharged, creditsRefunded } of logged) {
      const own = net.filter(({ generationId }) => generationId === id);
      const ofKind = (kind: string) =>
        own.filter((entry) => entry.kind === kind).reduce((sum, { credits }) => sum + credits, 0);
      expect([-ofKind("charge"), ofKind("refund")]).toEqual([creditsCharged, creditsRefunded]);
    }
  });
});
