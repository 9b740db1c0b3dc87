import { sql } from "drizzle-orm";
import { check, index, integer, primaryKey, sqliteTable, text, uniqueIndex } from "drizzle-orm/sqlite-core";

/**
 * The database `DB`: users, API keys and sessions. It is small, and every request reads it. Data that grows with use is
 * in `LOG`: see log-schema.ts. Times are milliseconds since 1970.
 *
 * The first releases also had the log here. Its tables stay, unused: see migrations/retired.ts.
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
    /** Required by the sign-in library; no page shows it. */
    image: text(),
    /**
     * True for a user who signed up, until their sign-up credits are decided. False for users that an operator creates.
     */
    signupGrantDue: integer("signup_grant_due", { mode: "boolean" }).notNull().default(false),
    /** The language of mails without a request, as in `lang` of the pages' texts; null: not known. */
    language: text(),
    /** Since when the user may not use the service, or null. */
    suspendedAt: integer("suspended_at"),
    /** When the user was deleted. The row stays, without the address and the name: the ledger belongs to its id. */
    deletedAt: integer("deleted_at"),
    /** When the last of a deleted user's generations was deleted. */
    erasedAt: integer("erased_at"),
  },
  (t) => [
    check("users_account_type", sql`${t.accountType} IN ('FREE', 'PRO')`),
    index("users_to_erase").on(t.deletedAt).where(sql`${t.deletedAt} IS NOT NULL AND ${t.erasedAt} IS NULL`),
  ],
);

/**
 * The tables of better-auth, the sign-in library, with its column names
 * (https://www.better-auth.com/docs/concepts/database). It needs times as Date.
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

/** The sign-in methods of a user but for passkeys: a password, or an account at GitHub or Google. */
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
    /** Hashed with scrypt. */
    password: text(),
    createdAt: integer("created_at", { mode: "timestamp_ms" }).notNull(),
    updatedAt: integer("updated_at", { mode: "timestamp_ms" }).notNull(),
  },
  (t) => [
    index("accounts_user").on(t.userId),
    uniqueIndex("accounts_identity").on(t.providerId, t.accountId),
  ],
);

/** Tokens of links in mails, and of sign-ins at another site. */
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

/** Passkeys of users: public keys, with which their devices sign in. */
export const passkeys = sqliteTable(
  "passkeys",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    name: text(),
    /** Base64url, chosen by the device. */
    credentialID: text("credential_id").notNull(),
    /** COSE, in Base64. */
    publicKey: text("public_key").notNull(),
    /** The device's count of signatures; 0 if it does not count. */
    counter: integer().notNull(),
    deviceType: text("device_type").notNull(),
    backedUp: integer("backed_up", { mode: "boolean" }).notNull(),
    /** How a browser can reach the device, separated by commas. */
    transports: text(),
    /** The model of the device, if the device states it. */
    aaguid: text(),
    createdAt: integer("created_at", { mode: "timestamp_ms" }),
  },
  (t) => [index("passkeys_user").on(t.userId), uniqueIndex("passkeys_credential").on(t.credentialID)],
);

/** Counted attempts to sign in, sign up and reset a password, by network or address. They count until `endsAt`. */
export const attempts = sqliteTable("attempts", {
  key: text().primaryKey(),
  count: integer().notNull(),
  endsAt: integer("ends_at").notNull(),
});

/** Mailboxes that got sign-up credits: SHA-256 of the normalized address, so that no address is kept. */
export const signupMailboxes = sqliteTable("signup_mailboxes", {
  mailbox: text().primaryKey(),
  userId: text("user_id").notNull(),
});

/**
 * Purchases of credit packs. A row is written before the buyer can pay, with a copy of the pack. Events of the
 * payment provider only add facts to it: see billing/events.ts. Money is in the smallest unit of the currency.
 */
export const purchases = sqliteTable(
  "purchases",
  {
    id: text().primaryKey(),
    userId: text("user_id").notNull(),
    packId: text("pack_id").notNull(),
    packName: text("pack_name").notNull(),
    credits: integer().notNull(),
    amount: integer().notNull(),
    currency: text().notNull(),
    expiresAfterDays: integer("expires_after_days"),
    createdAt: integer("created_at").notNull(),
    /** The Checkout session in which it is paid; null until Stripe has opened it. */
    sessionId: text("session_id").unique(),
    paymentIntent: text("payment_intent"),
    /** The buyer finished, and the payment is still under way. */
    pendingAt: integer("pending_at"),
    /** The payment failed, or the session expired. */
    failedAt: integer("failed_at"),
    paidAt: integer("paid_at"),
    /** The highest total that an event reported. */
    refunded: integer().notNull().default(0),
    disputed: integer().notNull().default(0),
    /** The credits that were taken back, and those that were spent before. */
    creditsReversed: integer("credits_reversed").notNull().default(0),
    shortfall: integer().notNull().default(0),
  },
  (t) => [
    index("purchases_user").on(t.userId, t.id),
    index("purchases_payment").on(t.paymentIntent).where(sql`${t.paymentIntent} IS NOT NULL`),
  ],
);

/**
 * State of scheduled jobs between runs, such as the cursor of a walk, by name. Only the code
 * that writes a value reads it: see jobs/state.ts.
 */
export const jobState = sqliteTable("job_state", {
  name: text().primaryKey(),
  value: text({ mode: "json" }).$type<unknown>().notNull(),
});

/** Rare events, counted by kind and five minutes: see incidents.ts. */
export const incidents = sqliteTable(
  "incidents",
  {
    kind: text().notNull(),
    startsAt: integer("starts_at").notNull(),
    count: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.kind, t.startsAt] })],
);

export const keyModes = ["live", "test"] as const;
export type KeyMode = (typeof keyModes)[number];

/** What a key may do: `read` is every GET, `generate` is everything else. */
export const keyScopes = ["generate", "read"] as const;
export type KeyScope = (typeof keyScopes)[number];

/** When the limit of a key starts again: at midnight UTC, on the first of a month, or never. */
export const limitPeriods = ["day", "month", "total"] as const;

/** The most credits that a key may spend in a period. */
export type CreditLimit = { credits: number; period: (typeof limitPeriods)[number] };

export const apiKeys = sqliteTable(
  "api_keys",
  {
    id: text().primaryKey(),
    userId: text("user_id")
      .notNull()
      .references(() => users.id),
    name: text().notNull(),
    /** SHA-256 of the whole key, hex. The key itself is not stored. */
    hash: text().notNull().unique(),
    /** A test key generates with the built-in provider, and pays nothing. Keys of older releases are live. */
    mode: text({ enum: keyModes }).notNull().default("live"),
    /** The prefix and the last four characters, to show on a page. */
    display: text().notNull(),
    expiresAt: integer("expires_at"),
    revokedAt: integer("revoked_at"),
    createdAt: integer("created_at").notNull(),
    /** JSON: a list of {@link keyScopes}; null: all of them. */
    scopes: text({ mode: "json" }).$type<unknown>(),
    /** JSON: a list of ids of models; null: all models. */
    models: text({ mode: "json" }).$type<unknown>(),
    /** With its period, or both null: no limit. */
    creditLimit: integer("credit_limit"),
    creditLimitPeriod: text("credit_limit_period"),
    /** Exact to the day (UTC): the first request of a day writes it. */
    lastUsedAt: integer("last_used_at"),
  },
  (t) => [index("api_keys_user").on(t.userId)],
);
