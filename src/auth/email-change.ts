import { Buffer } from "node:buffer";
import { and, eq, exists, gt, isNull, like, notExists } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { alias } from "drizzle-orm/sqlite-core";
import { users, verifications } from "../db/schema.ts";
import { sha256Hex } from "../hash.ts";
import { chooseMailer, sendMail } from "../mailer.ts";
import { type AuthSettings, EMAIL_CHANGE_PATH } from "./settings.ts";

/**
 * A change of the email address, by a link in a mail to the new one. The sign-in library has such a change too, but its
 * link is not stored: it works again after a change back, and a change of the password does not cancel it.
 */

const LINK_MS = 3_600_000;
const TOKEN_BYTES = 32;
const KIND = "email-change:";

/** Links for a user's change that is not confirmed yet. */
const pendingOf = (userId: string) =>
  and(eq(verifications.value, userId), like(verifications.identifier, `${KIND}%`));

/**
 * Sends a link to the new address, valid for an hour, and a notice to the current one. It replaces an earlier link. For
 * an address that another user has, the result and the duration are the same; its owner gets a mail without a link.
 * @param isMailed whether the new address gets a mail: false after too many
 */
export async function requestEmailChange(
  { env, config, origin, mails, waitUntil }: AuthSettings,
  user: { userId: string; email: string },
  newEmail: string,
  isMailed: boolean,
  now: number,
): Promise<void> {
  const db = drizzle(env.DB);
  const token = Buffer.from(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))).toString("base64url");
  const at = new Date(now);
  const [, , [owner]] = await db.batch([
    db.delete(verifications).where(pendingOf(user.userId)),
    db.insert(verifications).values({
      id: await sha256Hex(token),
      identifier: KIND + newEmail,
      value: user.userId,
      expiresAt: new Date(now + LINK_MS),
      createdAt: at,
      updatedAt: at,
    }),
    db.select({ id: users.id }).from(users).where(eq(users.email, newEmail)),
  ]);
  const mailer = chooseMailer(config, origin);
  const link = `${origin}${EMAIL_CHANGE_PATH}?token=${token}`;
  const notice = mails.emailChange(newEmail, `${origin}/account/settings`);
  waitUntil(sendMail(mailer, { to: user.email, ...notice }));
  if (!isMailed) return;
  waitUntil(sendMail(mailer, { to: newEmail, ...(owner ? mails.emailTaken() : mails.newEmail(link)) }));
}

/** Cancels a change that is not confirmed yet. */
export async function cancelEmailChange(d1: D1Database, userId: string): Promise<void> {
  await drizzle(d1).delete(verifications).where(pendingOf(userId));
}

/**
 * Makes the change of a link. Sessions stay. The user's other links, such as one that resets the password and was sent
 * to the old address, stop working.
 * @returns the new address; null when the link is used, replaced or expired, or the address is taken meanwhile
 */
export async function confirmEmailChange(d1: D1Database, token: string, now: number): Promise<string | null> {
  const db = drizzle(d1);
  const isLink = and(
    eq(verifications.id, await sha256Hex(token)),
    like(verifications.identifier, `${KIND}%`),
    gt(verifications.expiresAt, new Date(now)),
  );
  const [link] = await db.select().from(verifications).where(isLink);
  if (!link) return null;
  const email = link.identifier.slice(KIND.length);
  const others = alias(users, "others");
  const [changed] = await db.batch([
    db
      .update(users)
      .set({ email, emailVerified: true, updatedAt: new Date(now) })
      .where(
        and(
          eq(users.id, link.value),
          isNull(users.deletedAt),
          // Of two requests with the same link, one changes the address.
          exists(db.select({ id: verifications.id }).from(verifications).where(isLink)),
          notExists(db.select({ id: others.id }).from(others).where(eq(others.email, email))),
        ),
      )
      .returning({ email: users.email }),
    db.delete(verifications).where(eq(verifications.value, link.value)),
  ]);
  return changed[0]?.email ?? null;
}
