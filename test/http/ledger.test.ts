import { env } from "cloudflare:workers";
import { asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { creditEntries } from "../../src/db/log-schema.ts";
import { ProviderError } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { createRandom } from "../../src/providers/sketch/random.ts";
import { findUser, Visitor } from "../pages/visitor.ts";
import { call, creditsOf, eventually, newKey, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { EntryPage, GrantPage } from "../support/shapes.ts";
import { tinyImage } from "../support/tiny-provider.ts";

/** After any history, every view of the ledger agrees. To repeat one history, replace the list with its seed. */
const SEEDS = [1, 2, 3, 4];
const STEPS = 14;
const DAY_MS = 86_400_000;

const Receipt = z.object({
  id: z.string(),
  status: z.string(),
  usage: z.object({
    credits: z.int(),
    credits_requested: z.int(),
    credits_charged: z.int(),
    credits_refunded: z.int(),
  }),
});
type Entry = z.infer<typeof EntryPage>["data"][number];

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** A user who can use both the API and the pages. */
async function member(): Promise<TestUser & { visitor: Visitor }> {
  const visitor = new Visitor();
  visitor.headers = { ...visitor.headers, "cf-connecting-ip": crypto.randomUUID() };
  const email = await visitor.signUp();
  const user = await findUser(email);
  if (!user) throw new Error("The sign-up failed.");
  return { id: user.id, email, visitor, ...(await newKey(user.id)) };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** All pages of a list, with that many items each. */
async function all<Item>(
  path: string,
  schema: z.ZodType<{ data: Item[]; has_more: boolean; next_cursor: string | null }>,
  key: string,
  limit: number,
): Promise<Item[]> {
  const found: Item[] = [];
  for (let cursor = ""; ; ) {
    const { body } = await call("GET", `${path}?limit=${limit}${cursor}`, { key });
    const { data, has_more, next_cursor } = schema.parse(body);
    found.push(...data);
    if (!has_more) return found;
    cursor = `&cursor=${encodeURIComponent(next_cursor ?? "")}`;
  }
}

const ReceiptPage = z.object({
  data: z.array(Receipt),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

/**
 * Grants with and without expiry, and generations that succeed, fail, are refused, deliver fewer images or, where the
 * queue has not delivered them yet, are canceled.
 */
async function makeHistory(user: TestUser, seed: number): Promise<void> {
  const random = createRandom(seed, "ledger");
  const below = (limit: number) => Math.floor(random.between(0, limit));
  vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n, size }) {
    const made = random.pick([n, n, below(n + 1), 0]);
    for (let image = 0; image < made; image++) yield tinyImage(size);
    const reason = random.pick(["refused", "invalid"] as const);
    if (made < n && below(2) === 0) throw new ProviderError({ reason }, "a double fails as it was told");
  });
  for (let step = 0; step < STEPS; step++) {
    if (below(3) === 0) {
      const expires_at = random.pick([null, DAY_MS, 40 * DAY_MS]);
      await operate("POST", `/users/${user.id}/credits`, {
        id: crypto.randomUUID(),
        credits: 20 + below(60),
        expires_at: expires_at === null ? null : new Date(Date.now() + expires_at).toISOString(),
      });
    } else {
      const fields = { n: 1 + below(4), resolution: random.pick(["1K", "2K"]), aspect_ratio: "1:1" };
      const json = { model: "gpt-image-2", prompt: "a hill", async: below(2) === 0, ...fields };
      const { body } = await call("POST", "/api/v1/images/generations", { key: user.key, json });
      const { success, data } = Receipt.safeParse(body);
      if (success && below(2) === 0)
        await call("POST", `/api/v1/generations/${data.id}/cancel`, { key: user.key });
    }
  }
}

function receiptOf(id: string, entries: readonly Entry[]) {
  const ofKind = (kind: Entry["kind"]) =>
    sum(entries.filter((entry) => entry.generation_id === id && entry.kind === kind).map((e) => e.credits));
  const [charged, refunded] = [-ofKind("charge"), ofKind("refund")];
  return {
    credits: charged - refunded,
    credits_requested: charged,
    credits_charged: charged,
    credits_refunded: refunded,
  };
}

/** The credits and balances in the table of transactions, newest first. */
async function shownOn(visitor: Visitor, path: string): Promise<string[]> {
  const page = await (await visitor.get(path)).text();
  const [, table = ""] = page.split('id="entries"');
  return [...table.matchAll(/class="number (?:gain)?">([^<]+)<\/td><td class="number"[^>]*>([^<]+)</g)].map(
    ([, credits, balance]) => `${credits} ${balance}`,
  );
}

describe("the ledger after a random history", () => {
  it.each(SEEDS)(
    "is the same for callers, the operator, the pages and the log: SEEDS = [%i]",
    async (seed) => {
      const user = await member();
      await makeHistory(user, seed);
      const receipts = await eventually(async () => {
        const list = await all("/api/v1/generations", ReceiptPage, user.key, 100);
        return list.every(({ status }) => status !== "queued" && status !== "processing") && list;
      });
      const entries = await all("/api/v1/credits/entries", EntryPage, user.key, 7);
      const balance = await creditsOf(user);

      expect(sum(entries.map(({ credits }) => credits))).toBe(balance);
      expect(entries[0]?.balance_after).toBe(balance);
      const grants = await all("/api/v1/credits/grants", GrantPage, user.key, 3);
      expect(sum(grants.map(({ remaining }) => remaining))).toBe(balance);
      for (const { id, usage } of receipts) expect(usage).toEqual(receiptOf(id, entries));
      const charged = new Set(entries.flatMap(({ generation_id }) => generation_id ?? []));
      expect([...charged].toSorted()).toEqual(receipts.map(({ id }) => id).toSorted());

      const { body } = await operate("GET", `/users/${user.id}/credits?limit=100`);
      expect(body).toMatchObject({ balance: { credits: balance }, entries: { data: entries } });
      expect(await shownOn(user.visitor, "/account/credits")).toEqual(
        entries.map(
          ({ credits, balance_after }) => `${credits > 0 ? "+" : "−"}${Math.abs(credits)} ${balance_after}`,
        ),
      );
      const logged = await eventually(async () => {
        const rows = await drizzle(env.LOG)
          .select()
          .from(creditEntries)
          .where(eq(creditEntries.userId, user.id))
          .orderBy(asc(creditEntries.seq));
        return rows.length === entries.length && rows;
      });
      expect(logged.map((row) => [`entry_${row.seq}`, row.kind, row.credits, row.balanceAfter])).toEqual(
        entries.toReversed().map((entry) => [entry.id, entry.kind, entry.credits, entry.balance_after]),
      );
    },
    60_000,
  );
});
