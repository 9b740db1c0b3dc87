import { integer, primaryKey, sqliteTable, text } from "drizzle-orm/sqlite-core";
import type { StoredImage } from "../images/stored.ts";

/**
 * The database `LOG`: ended generations and credit entries. Only the Account objects write it, and it decides nothing
 * about money: the ledger is in the object. Times are milliseconds since 1970, credits
 * whole numbers.
 *
 * All tables are WITHOUT ROWID (added to the generated SQL by hand), so that a row is one write and a user's rows are
 * stored together, newest last, because ids begin with their time.
 */

/** A request as the log keeps it: the prompt is cut, references are only counted. */
export type LoggedRequest = {
  prompt: string;
  aspectRatio: string;
  tier: string;
  size: { width: number; height: number } | "auto";
  renderQuality: string;
  n: number;
  outputFormat: string;
  references: number;
  origin: string;
  /** The caller's own labels; left out when there are none. */
  metadata?: Readonly<Record<string, string>>;
  /** Of a test key: the price that was not charged. */
  test?: { credits: number };
  /** The key that paid; empty for the playground. Older releases left it out. */
  keyId?: string;
};

/** Ended generations of live keys and of the pages. */
export const generations = generationsTable("generations");

/**
 * Ended generations of test keys. In a table of their own they cost a live list no reads, and no sum over live
 * generations can count them.
 */
export const testGenerations = generationsTable("test_generations");

function generationsTable(name: string) {
  return sqliteTable(
    name,
    {
      userId: text("user_id").notNull(),
      id: text().notNull(),
      status: text({ enum: ["succeeded", "failed", "canceled"] }).notNull(),
      model: text().notNull(),
      createdAt: integer("created_at").notNull(),
      endedAt: integer("ended_at").notNull(),
      creditsCharged: integer("credits_charged").notNull(),
      creditsRefunded: integer("credits_refunded").notNull(),
      /** JSON: the request, with the prompt cut. */
      request: text({ mode: "json" }).$type<LoggedRequest>().notNull(),
      error: text({ enum: ["generationFailed", "contentPolicyViolation", "unreadableReference"] }),
      /** JSON: the delivered images. */
      images: text({ mode: "json" }).$type<readonly StoredImage[]>().notNull(),
      /** When its content was deleted. The rest of the row stays, because reports count it. */
      deletedAt: integer("deleted_at"),
    },
    (t) => [primaryKey({ columns: [t.userId, t.id] })],
  );
}

/** The table of a mode. */
export function generationsOf(livemode: boolean): typeof generations {
  return livemode ? generations : testGenerations;
}

/** Copies of the ledger entries of all accounts. */
export const creditEntries = sqliteTable(
  "credit_entries",
  {
    userId: text("user_id").notNull(),
    /** Counts from 1 in each account. */
    seq: integer().notNull(),
    kind: text({ enum: ["grant", "charge", "refund", "expiry", "reversal"] }).notNull(),
    /** Signed. */
    credits: integer().notNull(),
    balanceAfter: integer("balance_after").notNull(),
    generationId: text("generation_id"),
    grantId: text("grant_id").notNull(),
    createdAt: integer("created_at").notNull(),
  },
  (t) => [primaryKey({ columns: [t.userId, t.seq] })],
);

/** The JSON of an action: ids, amounts and settings. */
export type ActionFields = Readonly<Record<string, string | number | boolean | null>>;

/** Actions of operators, oldest first: ids begin with their time. Never changed and never deleted. */
export const operatorActions = sqliteTable("operator_actions", {
  id: text().primaryKey(),
  action: text().notNull(),
  requestId: text("request_id").notNull(),
  /** Ids and amounts, never a name, an address or a secret. */
  fields: text({ mode: "json" }).$type<ActionFields>().notNull(),
  createdAt: integer("created_at").notNull(),
});

/**
 * Ended live generations, added up by five minutes. A trigger counts each row of `generations` once, when it is
 * inserted: a repeated or corrected row counts nothing. Figures for operators; no money is decided by them.
 */
export const generationTotals = sqliteTable(
  "generation_totals",
  {
    startsAt: integer("starts_at").notNull(),
    model: text().notNull(),
    status: text({ enum: ["succeeded", "failed", "canceled"] }).notNull(),
    /** "" without an error. */
    error: text().notNull(),
    count: integer().notNull(),
    images: integer().notNull(),
    creditsCharged: integer("credits_charged").notNull(),
    creditsRefunded: integer("credits_refunded").notNull(),
    /** From acceptance to end, all together. */
    milliseconds: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.startsAt, t.model, t.status, t.error] })],
);
