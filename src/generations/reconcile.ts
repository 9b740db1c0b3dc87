import { and, asc, eq, gt, inArray, lte, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import { KEEP_MS } from "../account/lifecycle.ts";
import { type GenerationRecord, recordOfRow } from "../account/record.ts";
import type { EntriesSum } from "../account/store.ts";
import { creditEntries, generations, users } from "../db/schema.ts";

/**
 * What is not as the book has it. Everything but a missing image can be repaired: the log is written again from the
 * book, never the other way round.
 */
export type Difference = { userId: string } & (
  | { kind: "book_broken"; balance: number; entriesSum: number; held: number }
  | { kind: "entries_differ"; inBook: EntriesSum; inLog: EntriesSum }
  | { kind: "generation_missing" | "generation_differs" | "generation_unknown"; generationId: string }
  | { kind: "image_missing"; generationId: string; imageId: string }
);

/** Where a page begins: after that generation of that user. */
export type Place = { userId: string; generationId: string };

export type Page = {
  checked: { accounts: number; generations: number; images: number };
  differences: Difference[];
  repaired: number;
  next: Place | null;
};

/** Well within the 10,000 outside calls that a request may make: each generation has up to four images to look for. */
const GENERATIONS_A_PAGE = 200;
const ACCOUNTS_A_PAGE = 100;
/** A row younger than what the account keeps must be in the book; nearer to the edge it may just have been let go. */
const SURELY_KEPT_MS = KEEP_MS - 3_600_000;

/**
 * Compares one page of accounts with the log in D1 and with the images in R2, and, if wanted, repairs the log. What an
 * account has let go (a day after its end) is compared by its entries alone.
 */
export async function reconcile(env: Env, from: Place | null, repair: boolean, now: number): Promise<Page> {
  const db = drizzle(env.DB);
  const page: Page = {
    checked: { accounts: 0, generations: 0, images: 0 },
    differences: [],
    repaired: 0,
    next: null,
  };
  let place = from;
  for (let visited = 0; visited < ACCOUNTS_A_PAGE; visited++) {
    const room = GENERATIONS_A_PAGE - page.checked.generations;
    const userId =
      place !== null && place.generationId !== "" ? place.userId : await userAfter(db, place?.userId ?? "");
    if (userId === null) return page;
    const afterId: string = place?.userId === userId ? place.generationId : "";
    const last = await reconcileAccount(env, db, userId, afterId, room, repair, now, page);
    place = { userId, generationId: last };
    if (page.checked.generations >= GENERATIONS_A_PAGE) break;
  }
  page.next = place;
  return page;
}

async function userAfter(db: DrizzleD1Database, id: string): Promise<string | null> {
  const [user] = await db
    .select({ id: users.id })
    .from(users)
    .where(gt(users.id, id))
    .orderBy(asc(users.id))
    .limit(1);
  return user?.id ?? null;
}

/** Adds to the page what it finds. Returns the generation it stopped at, or "" when the account is done. */
async function reconcileAccount(
  env: Env,
  db: DrizzleD1Database,
  userId: string,
  afterId: string,
  limit: number,
  repair: boolean,
  now: number,
  page: Page,
): Promise<string> {
  const account = env.ACCOUNT.getByName(userId);
  const audit = await account.audit(afterId, limit);
  const found: Difference[] = [];
  if (afterId === "") {
    page.checked.accounts += 1;
    const { balance, held, entries } = audit;
    if (balance !== held || balance !== entries.credits) {
      found.push({ userId, kind: "book_broken", balance, entriesSum: entries.credits, held });
    }
    const inLog = await entriesInLog(db, userId);
    if (!sameEntries(entries, inLog)) found.push({ userId, kind: "entries_differ", inBook: entries, inLog });
  }
  const ids = audit.generations.map(({ id }) => id);
  const lastId = audit.hasMore ? (ids.at(-1) ?? "") : "";
  const logged = await loggedBetween(db, userId, afterId, lastId, now);
  found.push(...compareGenerations(userId, audit.generations, logged));
  found.push(...(await missingImages(env.IMAGES, userId, audit.generations, page)));
  page.checked.generations += ids.length;
  page.differences.push(...found);
  if (repair) page.repaired += await repairAccount(env, db, userId, found);
  return lastId;
}

async function entriesInLog(db: DrizzleD1Database, userId: string): Promise<EntriesSum> {
  const [row] = await db
    .select({
      count: sql<number>`count(*)`,
      credits: sql<number>`coalesce(sum(${creditEntries.credits}), 0)`,
      balances: sql<number>`coalesce(sum(${creditEntries.balanceAfter}), 0)`,
    })
    .from(creditEntries)
    .where(eq(creditEntries.userId, userId));
  return row ?? { count: 0, credits: 0, balances: 0 };
}

function sameEntries(a: EntriesSum, b: EntriesSum): boolean {
  return a.count === b.count && a.credits === b.credits && a.balances === b.balances;
}

/** The log's rows over the same stretch of ids that are young enough to be in the book. */
async function loggedBetween(
  db: DrizzleD1Database,
  userId: string,
  afterId: string,
  lastId: string,
  now: number,
): Promise<GenerationRecord[]> {
  const rows = await db
    .select()
    .from(generations)
    .where(
      and(
        eq(generations.userId, userId),
        gt(generations.id, afterId),
        lastId === "" ? undefined : lte(generations.id, lastId),
        gt(generations.endedAt, now - SURELY_KEPT_MS),
      ),
    );
  return rows.map(recordOfRow);
}

function compareGenerations(
  userId: string,
  inBook: readonly GenerationRecord[],
  inLog: readonly GenerationRecord[],
): Difference[] {
  const logged = new Map(inLog.map((record) => [record.id, record]));
  const known = new Set(inBook.map(({ id }) => id));
  const differences: Difference[] = [];
  for (const record of inBook) {
    const copy = logged.get(record.id);
    if (!copy) differences.push({ userId, kind: "generation_missing", generationId: record.id });
    else if (JSON.stringify(copy) !== JSON.stringify(record)) {
      differences.push({ userId, kind: "generation_differs", generationId: record.id });
    }
  }
  for (const { id } of inLog) {
    if (!known.has(id)) differences.push({ userId, kind: "generation_unknown", generationId: id });
  }
  return differences;
}

async function missingImages(
  bucket: R2Bucket,
  userId: string,
  records: readonly GenerationRecord[],
  page: Page,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const record of records) {
    const found = await Promise.all(record.images.map((image) => bucket.head(image.key)));
    page.checked.images += found.length;
    record.images.forEach((image, at) => {
      if (found[at]?.size === image.bytes) return;
      differences.push({ userId, kind: "image_missing", generationId: record.id, imageId: image.id });
    });
  }
  return differences;
}

/** Removes from the log what is wrong, then has the account tell it again. Returns how many differences that mends. */
async function repairAccount(
  env: Env,
  db: DrizzleD1Database,
  userId: string,
  differences: readonly Difference[],
): Promise<number> {
  const account = env.ACCOUNT.getByName(userId);
  const entries = differences.filter(({ kind }) => kind === "entries_differ").length;
  const ids = differences.flatMap((difference) =>
    difference.kind === "generation_missing" ||
    difference.kind === "generation_differs" ||
    difference.kind === "generation_unknown"
      ? [difference.generationId]
      : [],
  );
  // D1 binds at most 100 values a statement.
  for (let at = 0; at < ids.length; at += 90) {
    const some = ids.slice(at, at + 90);
    await db.delete(generations).where(and(eq(generations.userId, userId), inArray(generations.id, some)));
  }
  if (entries > 0) await db.delete(creditEntries).where(eq(creditEntries.userId, userId));
  if (ids.length > 0 || entries > 0) await account.tellAgain(ids, entries > 0);
  return ids.length + entries;
}
