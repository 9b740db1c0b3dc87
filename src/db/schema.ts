import { sql } from "drizzle-orm";
import { check, index, integer, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/**
 * The database `DB`: users, API keys and sessions. Small, and read by every request. What grows with use is in `LOG`: see
 * log-schema.ts. Times are milliseconds since 1970.
 *
 * The first releases had the log here, too. Its tables stay, unused: see migrations/retired.ts.
 */

export const accountTypes = ["FREE", "PRO"] as const;
export type AccountType = (typeof accountTypes)[number];

export const users = sqliteTable(
  "users",
  {
    id: text().primaryKey(),
    /** Lower-case. */
    email: text().notNull().unique(),
    name: text(),
    accountType: text("account_type", { enum: accountTypes }).notNull().default("FREE"),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    updatedAt: integer("updated_at", { mode: "timestamp_ms" }),
    emailVerified: integer("email_verified", { mode: "boolean" }).notNull().default(false),
    /** Asked for by the sign-in library; no page shows it. */
    image: text(),
    /** True for a user who signed up, until their sign-up credits are decided. Never for users that an operator makes. */
    signupGrantDue: integer("signup_grant_due", { mode: "boolean" }).notNull().default(false),
  },
  (t) => [check("users_account_type", sql`${t.accountType} IN ('FREE', 'PRO')`)],
);

/**
 * The tables of the sign-in library, better-auth: columns by its names
 * (https://www.better-auth.com/docs/concepts/database), times as Date, as it wants them.
 */
export const sessions = sqliteTable(
  "sessions",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    token: text().notNull().unique(),
    expiresAt: integer("expires_at", { mode: "timestamp_ms" }).notNull(),
    ipAddress: text("ip_address"),
    userAgent: text("user_agent"),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    updatedAt: integer("updated_at", { mode: "timestamp_ms" }).notNull(),
  },
  (t) => [index("sessions_user").on(t.userId)],
);

/** The ways in which a user may sign in: a password, or an account elsewhere. */
export const accounts = sqliteTable(
  "accounts",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    providerId: text("provider_id").notNull(),
    accountId: text("account_id").notNull(),
    accessToken: text("access_token"),
    refreshToken: text("refresh_token"),
    idToken: text("id_token"),
    accessTokenExpiresAt: integer("access_token_expires_at", { mode: "timestamp_ms" }),
    refreshTokenExpiresAt: integer("refresh_token_expires_at", { mode: "timestamp_ms" }),
    scope: text(),
    /** Salted and stretched (scrypt). */
    password: text(),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    updatedAt: integer("updated_at", { mode: "timestamp_ms" }).notNull(),
  },
  (t) => [
    index("accounts_user").on(t.userId),
    uniqueIndex("accounts_identity").on(t.providerId, t.accountId),
  ],
);

/** What a link in a mail, or the return from another site, is held against. */
export const verifications = sqliteTable(
  "verifications",
  {
    id: text().primaryKey(),
    identifier: text().notNull(),
    value: text().notNull(),
    expiresAt: integer("expires_at", { mode: "timestamp_ms" }).notNull(),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    updatedAt: integer("updated_at", { mode: "timestamp_ms" }).notNull(),
  },
  (t) => [index("verifications_identifier").on(t.identifier)],
);

/** How often something that invites guessing was tried: by whom, or for whom, until when it counts. */
export const attempts = sqliteTable("attempts", {
  key: text().primaryKey(),
  count: integer().notNull(),
  endsAt: integer("ends_at").notNull(),
});

/** Mailboxes that have had the credits for signing up: SHA-256 of the normalized address, so that no address is kept. */
export const signupMailboxes = sqliteTable("signup_mailboxes", {
  mailbox: text().primaryKey(),
  userId: text("user_id").notNull(),
});

export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    name: text().notNull(),
    /** SHA-256 of the whole key, hex. The key itself is nowhere. */
    hash: text().notNull().unique(),
    /** The prefix and the last four characters, for telling keys apart on a page. */
    display: text().notNull(),
    expiresAt: integer("expires_at"),
    revokedAt: integer("revoked_at"),
    createdAt: integer("created_at").notNull(),
    /** True to the day (UTC) only: it is written by the first request of a day that has the key. */
    lastUsedAt: integer("last_used_at"),
  },
  (t) => [index("api_keys_user").on(t.userId)],
);
