import { and, eq, gte, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { generations } from "../db/log-schema.ts";
import { lowestGenerationId } from "../id.ts";

export type DailyUsage = {
  /** Days since 1970, in UTC. */
  day: number;
  credits: number;
  images: number;
};

const DAY_MS = 86_400_000;

/**
 * Credits and images of a user's ended generations, for each day since `since` (milliseconds since 1970) that has any.
 */
export async function usageByDay(d1: D1Database, userId: string, since: number): Promise<DailyUsage[]> {
  const day = sql<number>`${generations.createdAt} / ${sql.raw(String(DAY_MS))}`;
  return await drizzle(d1)
    .select({
      day,
      credits: sql<number>`sum(${generations.creditsCharged} - ${generations.creditsRefunded})`,
      images: sql<number>`sum(json_array_length(${generations.images}))`,
    })
    .from(generations)
    .where(and(eq(generations.userId, userId), gte(generations.id, lowestGenerationId(since))))
    .groupBy(day)
    .orderBy(day);
}
