import { and, desc, eq, gte, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { detailOfRow, type GenerationDetail } from "../account/record.ts";
import { generations } from "../db/schema.ts";
import { isGenerationId } from "../id.ts";

export type EndedStatus = (typeof generations.$inferSelect)["status"];

export type HistoryQuery = { status: EndedStatus | null; before: string | null; limit: number };

export type DayOfUse = {
  /** Days since 1970, in UTC. */
  day: number;
  credits: number;
  images: number;
};

const DAY_MS = 86_400_000;
const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_TIME_LENGTH = 10;

/** A user's ended generations, newest first, from the one before `before`; and whether there are more. */
export async function listEnded(
  d1: D1Database,
  userId: string,
  { status, before, limit }: HistoryQuery,
): Promise<{ generations: GenerationDetail[]; hasMore: boolean }> {
  const rows = await drizzle(d1)
    .select()
    .from(generations)
    .where(
      and(
        eq(generations.userId, userId),
        before === null ? undefined : lt(generations.id, before),
        status === null ? undefined : eq(generations.status, status),
      ),
    )
    .orderBy(desc(generations.id))
    .limit(limit + 1);
  return { generations: rows.slice(0, limit).map(detailOfRow), hasMore: rows.length > limit };
}

/** One generation of a user with what was asked for: from the log when it has ended, else from the account. */
export async function readDetail(
  env: Pick<Env, "DB" | "ACCOUNT">,
  userId: string,
  id: string,
): Promise<GenerationDetail | null> {
  if (!isGenerationId(id)) return null;
  const [row] = await drizzle(env.DB)
    .select()
    .from(generations)
    .where(and(eq(generations.userId, userId), eq(generations.id, id)));
  return row ? detailOfRow(row) : await env.ACCOUNT.getByName(userId).detail(id);
}

/** What a user's ended generations used, for each day since then that has any. Walks only the rows since then. */
export async function useByDay(d1: D1Database, userId: string, since: number): Promise<DayOfUse[]> {
  const day = sql<number>`${generations.createdAt} / ${sql.raw(String(DAY_MS))}`;
  return await drizzle(d1)
    .select({
      day,
      credits: sql<number>`sum(${generations.creditsCharged} - ${generations.creditsRefunded})`,
      images: sql<number>`sum(json_array_length(${generations.images}))`,
    })
    .from(generations)
    .where(and(eq(generations.userId, userId), gte(generations.id, firstIdAt(since))))
    .groupBy(day)
    .orderBy(day);
}

/** The least id that a generation of that moment can have: ids begin with their time (https://github.com/ulid/spec). */
function firstIdAt(milliseconds: number): string {
  let rest = milliseconds;
  let digits = "";
  while (digits.length < ULID_TIME_LENGTH) {
    digits = CROCKFORD.charAt(rest % CROCKFORD.length) + digits;
    rest = Math.floor(rest / CROCKFORD.length);
  }
  return `gen_${digits}`;
}
