import { and, asc, desc, eq, gt, inArray, isNull, lte, sql } from "drizzle-orm";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { Account } from "../account/account.ts";
import { isLive, KEEP_MS } from "../account/lifecycle.ts";
import type { EntriesSum } from "../account/store/ledger.ts";
import { type GenerationRecord, recordOfRow } from "../account/views.ts";
import { logOf } from "../db/log.ts";
import { creditEntries, generationsOf } from "../db/log-schema.ts";
import { users } from "../db/schema.ts";

/**
 * A discrepancy between an account and its log or images. The log can be repaired: it is written again from the
 * account, never the other way round.
 */
export type Discrepancy = { userId: string } & (
  | { kind: "book_broken"; balance: number; entriesSum: number; held: number }
  | { kind: "entries_differ"; inBook: EntriesSum; inLog: EntriesSum }
  | { kind: "generation_missing" | "generation_differs"; generationId: string }
  | { kind: "generation_unknown"; generationId: string; livemode: boolean }
  | { kind: "image_missing"; generationId: string; imageId: string }
);

/** A page begins after this generation of this user. */
export type Cursor = { userId: string; generationId: string };

export type Page = {
  checked: { accounts: number; generations: number; images: number };
  differences: Discrepancy[];
  repaired: number;
  next: Cursor | null;
};

/** Each generation has up to four images to look up, and a request may make 10,000 subrequests. */
const GENERATIONS_A_PAGE = 200;
const ACCOUNTS_A_PAGE = 100;
/** The most pages of one user in {@link reconcileUser}: 1,000 generations. */
const USER_PAGES_MAX = 5;
/** The most entries that are written again at once. */
const ENTRIES_A_RANGE = 480;
/** Each comparison makes two calls. Enough for 20 ranges among a million entries. */
const RANGES_COMPARED_MAX = 400;
/** A logged row younger than this must be in the account. An older one may just have been pruned. */
const SURELY_KEPT_MS = KEEP_MS - 3_600_000;

/**
 * Compares one page of accounts with the log and with the images in R2, and repairs the log if asked. Generations that
 * an account has pruned (a day after their end) are compared only by their ledger entries.
 */
export async function reconcile(env: Env, from: Cursor | null, repair: boolean, now: number): Promise<Page> {
  const db = drizzle(env.DB);
  const page = emptyPage();
  let cursor = from;
  for (let visited = 0; visited < ACCOUNTS_A_PAGE; visited++) {
    const room = GENERATIONS_A_PAGE - page.checked.generations;
    const userId =
      cursor !== null && cursor.generationId !== ""
        ? cursor.userId
        : await userAfter(db, cursor?.userId ?? "");
    if (userId === null) return page;
    const afterId: string = cursor?.userId === userId ? cursor.generationId : "";
    const last = await reconcileAccount(env, userId, afterId, room, repair, now, page);
    cursor = { userId, generationId: last };
    if (page.checked.generations >= GENERATIONS_A_PAGE) break;
  }
  page.next = cursor;
  return page;
}

/**
 * Compares one account with the log and its images, and repairs nothing. Of an account with very many generations of the
 * last day, it compares the oldest.
 */
export async function reconcileUser(env: Env, userId: string, now: number): Promise<Discrepancy[]> {
  const page = emptyPage();
  let afterId = "";
  for (let round = 0; round < USER_PAGES_MAX; round++) {
    afterId = await reconcileAccount(env, userId, afterId, GENERATIONS_A_PAGE, false, now, page);
    if (afterId === "") break;
  }
  return page.differences;
}

function emptyPage(): Page {
  return { checked: { accounts: 0, generations: 0, images: 0 }, differences: [], repaired: 0, next: null };
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

/**
 * Adds the account's discrepancies to the page. Returns the generation it stopped at, or "" when the account is done.
 * Only what the account has logged is compared: a pending export is not a discrepancy.
 */
async function reconcileAccount(
  env: Env,
  userId: string,
  afterId: string,
  limit: number,
  repair: boolean,
  now: number,
  page: Page,
): Promise<string> {
  const account = env.ACCOUNT.getByName(userId);
  const logDb = drizzle(logOf(env, userId));
  // Read before the account: its entries only grow, so a logged entry after its last one does not belong to it.
  const lastLoggedSeq = afterId === "" ? await lastSeqInLog(logDb, userId) : 0;
  const audit = await account.audit(afterId, limit);
  const { logged } = audit;
  const found: Discrepancy[] = [];
  const surplus = lastLoggedSeq > audit.lastSeq;
  if (afterId === "") {
    page.checked.accounts += 1;
    const { balance, held, entries } = audit;
    if (balance !== held || balance !== entries.credits) {
      found.push({ userId, kind: "book_broken", balance, entriesSum: entries.credits, held });
    }
    const inLog = await entriesInLog(logDb, userId, 0, logged.seq);
    if (surplus || !sameEntries(logged.entries, inLog)) {
      found.push({ userId, kind: "entries_differ", inBook: logged.entries, inLog });
    }
  }
  const ids = audit.generations.map(({ id }) => id);
  const lastId = audit.hasMore ? (ids.at(-1) ?? "") : "";
  for (const livemode of [true, false]) {
    const rows = await loggedBetween(logDb, userId, livemode, afterId, lastId, now);
    const records = audit.generations.filter((record) => isLive(record) === livemode);
    found.push(...compareGenerations(userId, records, new Set(logged.generations), rows));
    const known = new Set(records.map(({ id }) => id));
    for (const { id } of rows) {
      if (known.has(id)) continue;
      // The account may have logged the generation since the audit, so ask again before reporting it as unknown.
      const kept = await account.generation(id);
      if (kept !== null && isLive(kept) === livemode) continue;
      found.push({ userId, kind: "generation_unknown", generationId: id, livemode });
    }
  }
  found.push(...(await missingImages(env.IMAGES, userId, audit.generations, page)));
  page.checked.generations += ids.length;
  page.differences.push(...found);
  if (repair) page.repaired += await repairAccount(env, logDb, userId, found, logged.seq, surplus);
  return lastId;
}

async function lastSeqInLog(logDb: DrizzleD1Database, userId: string): Promise<number> {
  const [last] = await logDb
    .select({ seq: creditEntries.seq })
    .from(creditEntries)
    .where(eq(creditEntries.userId, userId))
    .orderBy(desc(creditEntries.seq))
    .limit(1);
  return last?.seq ?? 0;
}

/** Sums over the log's entries after `afterSeq`, up to and including `lastSeq`. */
async function entriesInLog(
  logDb: DrizzleD1Database,
  userId: string,
  afterSeq: number,
  lastSeq: number,
): Promise<EntriesSum> {
  const [row] = await logDb
    .select({
      count: sql<number>`count(*)`,
      credits: sql<number>`coalesce(sum(${creditEntries.credits}), 0)`,
      balances: sql<number>`coalesce(sum(${creditEntries.balanceAfter}), 0)`,
    })
    .from(creditEntries)
    .where(
      and(eq(creditEntries.userId, userId), gt(creditEntries.seq, afterSeq), lte(creditEntries.seq, lastSeq)),
    );
  return row ?? { count: 0, credits: 0, balances: 0 };
}

function sameEntries(a: EntriesSum, b: EntriesSum): boolean {
  return a.count === b.count && a.credits === b.credits && a.balances === b.balances;
}

/** The log's rows of that mode in the same range of ids that are young enough to be in the account. */
async function loggedBetween(
  logDb: DrizzleD1Database,
  userId: string,
  livemode: boolean,
  afterId: string,
  lastId: string,
  now: number,
): Promise<GenerationRecord[]> {
  const table = generationsOf(livemode);
  const rows = await logDb
    .select()
    .from(table)
    .where(
      and(
        eq(table.userId, userId),
        gt(table.id, afterId),
        lastId === "" ? undefined : lte(table.id, lastId),
        gt(table.endedAt, now - SURELY_KEPT_MS),
        isNull(table.deletedAt),
      ),
    );
  return rows.map(recordOfRow);
}

function compareGenerations(
  userId: string,
  inBook: readonly GenerationRecord[],
  logged: ReadonlySet<string>,
  inLog: readonly GenerationRecord[],
): Discrepancy[] {
  const rows = new Map(inLog.map((record) => [record.id, record]));
  const differences: Discrepancy[] = [];
  for (const record of inBook) {
    const row = rows.get(record.id);
    if (row === undefined) {
      if (logged.has(record.id)) {
        differences.push({ userId, kind: "generation_missing", generationId: record.id });
      }
    } else if (comparable(row) !== comparable(record)) {
      differences.push({ userId, kind: "generation_differs", generationId: record.id });
    }
  }
  return differences;
}

/** The fields that both have: the log does not keep whether a failure is permanent. */
function comparable(record: GenerationRecord): string {
  return JSON.stringify({ ...record, permanent: undefined });
}

async function missingImages(
  bucket: R2Bucket,
  userId: string,
  records: readonly GenerationRecord[],
  page: Page,
): Promise<Discrepancy[]> {
  const differences: Discrepancy[] = [];
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

/**
 * Makes the account write missing and different rows again, and deletes rows that the account does not have. Returns
 * how many discrepancies that repairs.
 */
async function repairAccount(
  env: Env,
  logDb: DrizzleD1Database,
  userId: string,
  differences: readonly Discrepancy[],
  loggedSeq: number,
  surplus: boolean,
): Promise<number> {
  const account = env.ACCOUNT.getByName(userId);
  const idsOf = (...kinds: Discrepancy["kind"][]) =>
    differences.flatMap((difference) =>
      kinds.includes(difference.kind) && "generationId" in difference ? [difference.generationId] : [],
    );
  const unknown = differences.filter((difference) => difference.kind === "generation_unknown");
  for (const livemode of [true, false]) {
    const ids = unknown.filter((row) => row.livemode === livemode).map(({ generationId }) => generationId);
    const table = generationsOf(livemode);
    // D1 binds at most 100 values per statement.
    for (let at = 0; at < ids.length; at += 90) {
      const some = ids.slice(at, at + 90);
      await logDb.delete(table).where(and(eq(table.userId, userId), inArray(table.id, some)));
    }
  }
  const again = idsOf("generation_missing", "generation_differs");
  if (again.length > 0) await account.tellAgain(again);
  const entries = differences.filter(({ kind }) => kind === "entries_differ").length;
  if (entries === 0) return unknown.length + again.length;
  if (surplus) await account.trimEntries();
  const whole = await repairEntries(account, logDb, userId, loggedSeq);
  return unknown.length + again.length + (whole ? entries : 0);
}

/**
 * Finds the ranges of entries that differ by bisection, and makes the account write them again.
 * @returns false when there are more than one request should repair; the next request continues
 */
async function repairEntries(
  account: DurableObjectStub<Account>,
  logDb: DrizzleD1Database,
  userId: string,
  lastSeq: number,
): Promise<boolean> {
  const ranges = [{ after: 0, last: lastSeq }];
  let compared = 0;
  for (let range = ranges.pop(); range !== undefined; range = ranges.pop()) {
    if (compared === RANGES_COMPARED_MAX) return false;
    compared += 1;
    const { after, last } = range;
    const [inBook, inLog] = await Promise.all([
      account.entriesSum(after, last),
      entriesInLog(logDb, userId, after, last),
    ]);
    if (sameEntries(inBook, inLog)) continue;
    if (last - after <= ENTRIES_A_RANGE) {
      await account.writeEntriesAgain(after, last);
      continue;
    }
    const middle = after + Math.floor((last - after) / 2);
    // The older half is compared first.
    ranges.push({ after: middle, last }, { after, last: middle });
  }
  return true;
}
