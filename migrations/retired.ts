import { integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";

/**
 * Tables of `DB` that no release uses any more. The first releases had the log here; it is in `LOG` now
 * (docs/decisions/0020-a-database-for-the-log.md). They are never dropped, because a rollback brings back a release that
 * uses them, so drizzle-kit must go on knowing them. Nothing imports this file.
 */

export const generations = sqliteTable(
  "generations",
  {
    userId: text("user_id").notNull(),
    id: text().notNull(),
    status: text().notNull(),
    model: text().notNull(),
    createdAt: integer("created_at").notNull(),
    endedAt: integer("ended_at").notNull(),
    creditsCharged: integer("credits_charged").notNull(),
    creditsRefunded: integer("credits_refunded").notNull(),
    request: text().notNull(),
    error: text(),
    images: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.id] })],
);

export const creditEntries = sqliteTable(
  "credit_entries",
  {
    userId: text("user_id").notNull(),
    seq: integer().notNull(),
    kind: text().notNull(),
    credits: integer().notNull(),
    balanceAfter: integer("balance_after").notNull(),
    generationId: text("generation_id"),
    grantId: text("grant_id").notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.seq] })],
);
