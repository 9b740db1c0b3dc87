import { and, asc, count, eq, gt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import * as z from "zod";
import { passkeys } from "../db/schema.ts";
import { chooseMailer, sendMail } from "../mailer.ts";
import type { AuthSettings } from "./settings.ts";

/**
 * The passkeys of a user. This file does not import the sign-in library, which is loaded on first use: passkey-plugin.ts
 * configures its part.
 */

export const PASSKEYS_MAX = 10;
export const PASSKEY_NAME_LENGTH_MAX = 64;

/** Base64url. */
const Bytes = z.string().regex(/^[\w-]+$/);

/** What all answers of a browser have, as `PublicKeyCredential.toJSON()` writes them. */
const Answer = z.looseObject({
  id: Bytes.max(1_400),
  rawId: Bytes,
  type: z.literal("public-key"),
  clientExtensionResults: z.looseObject({}),
});

/** A passkey that was made. */
const Made = Answer.extend({
  response: z.looseObject({ clientDataJSON: Bytes, attestationObject: Bytes }),
});
export type PasskeyMade = z.output<typeof Made>;

/** A passkey that was used. */
const Used = Answer.extend({
  response: z.looseObject({
    clientDataJSON: Bytes,
    authenticatorData: Bytes,
    signature: Bytes,
    userHandle: Bytes.exactOptional(),
  }),
});
export type PasskeyUsed = z.output<typeof Used>;

/** Null for anything but the answer of a browser that made a passkey. */
export function readPasskeyMade(text: string): PasskeyMade | null {
  return read(Made, text);
}

/** Null for anything but the answer of a browser that used a passkey. */
export function readPasskeyUsed(text: string): PasskeyUsed | null {
  return read(Used, text);
}

function read<T>(schema: z.ZodType<T>, text: string): T | null {
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

export type Passkey = { id: string; name: string; createdAt: number };

/**
 * The domain to which passkeys of the site belong. Null where it has none: browsers make no passkey for an IP address
 * (Web Authentication, section 5.1.2: "effective domain").
 */
export function passkeyDomain(origin: string): string | null {
  const { hostname } = new URL(origin);
  return /^[\d.]+$|^\[/.test(hostname) ? null : hostname;
}

/** Those of a user, the oldest first. */
export async function listPasskeys(d1: D1Database, userId: string): Promise<Passkey[]> {
  const rows = await drizzle(d1)
    .select({ id: passkeys.id, name: passkeys.name, createdAt: passkeys.createdAt })
    .from(passkeys)
    .where(eq(passkeys.userId, userId))
    .orderBy(asc(passkeys.createdAt), asc(passkeys.id));
  return rows.map(({ id, name, createdAt }) => ({
    id,
    name: name ?? "",
    createdAt: createdAt?.getTime() ?? 0,
  }));
}

/** Whether the user may add no more. */
export async function hasAllPasskeys(d1: D1Database, userId: string): Promise<boolean> {
  const [found] = await drizzle(d1)
    .select({ count: count() })
    .from(passkeys)
    .where(eq(passkeys.userId, userId));
  return (found?.count ?? 0) >= PASSKEYS_MAX;
}

/**
 * Removes a passkey that was just added if its user now has too many. One statement, so that passkeys that are added at the
 * same time cannot exceed the limit together. @returns whether it was removed
 */
export async function removeExcessPasskey(d1: D1Database, id: string): Promise<boolean> {
  const owned = sql<number>`(SELECT count(*) FROM ${passkeys} AS own WHERE own.user_id = ${passkeys.userId})`;
  const removed = await drizzle(d1)
    .delete(passkeys)
    .where(and(eq(passkeys.id, id), gt(owned, PASSKEYS_MAX)));
  return removed.meta.changes > 0;
}

/** Tells the user by mail, where there is a mailer: a passkey outlives the password with which it was added. */
export function mailPasskeyAdded({ config, origin, mails, waitUntil }: AuthSettings, email: string): void {
  const mailer = chooseMailer(config, origin);
  if (mailer === null) return;
  const mail = mails.passkeyAdded(`${origin}/account/settings#passkeys`);
  waitUntil(sendMail(mailer, { to: email, ...mail }));
}

/** Removes a passkey of the user. Its sessions stay. False when the user has none with this id. */
export async function removePasskey(d1: D1Database, userId: string, id: string): Promise<boolean> {
  const removed = await drizzle(d1)
    .delete(passkeys)
    .where(and(eq(passkeys.id, id), eq(passkeys.userId, userId)));
  return removed.meta.changes > 0;
}
