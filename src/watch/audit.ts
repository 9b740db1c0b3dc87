import { desc, lt } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { type ActionFields, operatorActions } from "../db/log-schema.ts";
import { newId } from "../id.ts";

export type { ActionFields };

export type OperatorAction = typeof operatorActions.$inferSelect;

/** Writes an action to the audit trail. @throws when the log does not respond */
export async function recordAction(
  d1: D1Database,
  action: Pick<OperatorAction, "action" | "requestId" | "fields">,
  now: number,
): Promise<void> {
  await drizzle(d1)
    .insert(operatorActions)
    .values({ id: newId("action"), createdAt: now, ...action });
}

/** Actions before that one, newest first. @throws when the log does not respond */
export async function listActions(
  d1: D1Database,
  beforeId: string | undefined,
  limit: number,
): Promise<OperatorAction[]> {
  return await drizzle(d1)
    .select()
    .from(operatorActions)
    .where(beforeId === undefined ? undefined : lt(operatorActions.id, beforeId))
    .orderBy(desc(operatorActions.id))
    .limit(limit);
}
