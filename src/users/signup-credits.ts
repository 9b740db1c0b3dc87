import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { signupMailboxes, users } from "../db/schema.ts";
import { sha256Hex } from "../hash.ts";
import { describe, log } from "../log.ts";
import { mailboxOf } from "./mailbox.ts";

export const SIGNUP_GRANT_ID = "signup";
const SIGNUP_GRANT_MS = 30 * 86_400_000;
const USERS_A_RUN = 100;

type NewUser = { id: string; email: string };

/**
 * Grants sign-up credits, once per mailbox. Safe to repeat after a crash: D1 stores the user of a mailbox, and the
 * account the id of the grant.
 * @throws when D1 or the account fails; {@link grantOwedCredits} repeats it
 */
async function grantSignupCredits(
  env: Env,
  { id, email }: NewUser,
  credits: number,
  now: number,
): Promise<void> {
  const db = drizzle(env.DB);
  if (credits > 0) {
    const mailbox = await sha256Hex(mailboxOf(email));
    const [, [first]] = await db.batch([
      db.insert(signupMailboxes).values({ mailbox, userId: id }).onConflictDoNothing(),
      db.select().from(signupMailboxes).where(eq(signupMailboxes.mailbox, mailbox)),
    ]);
    if (first?.userId === id) {
      const account = env.ACCOUNT.getByName(id);
      await account.grant(SIGNUP_GRANT_ID, credits, now + SIGNUP_GRANT_MS, "Welcome");
    }
  }
  await db.update(users).set({ signupGrantDue: false }).where(eq(users.id, id));
}

/**
 * Grants the sign-up credits of a user who signs in, if they are due and the e-mail address is verified. `isTrusted`
 * accepts any address (development). A failure is logged, and the daily job tries again.
 */
export async function grantDueCredits(
  env: Env,
  userId: string,
  isTrusted: boolean,
  credits: number,
): Promise<void> {
  try {
    const [user] = await drizzle(env.DB)
      .select()
      .from(users)
      .where(and(eq(users.id, userId), eq(users.signupGrantDue, true)));
    if (user && (user.emailVerified || isTrusted)) await grantSignupCredits(env, user, credits, Date.now());
  } catch (error) {
    log("signup_credits_failed", { user_id: userId, error: describe(error) });
  }
}

/** Grants sign-up credits that are still due to verified users after a failure. Run by a daily job. */
export async function grantOwedCredits(env: Env, credits: number, now: number): Promise<void> {
  const owed = await drizzle(env.DB)
    .select()
    .from(users)
    .where(and(eq(users.signupGrantDue, true), eq(users.emailVerified, true)))
    .limit(USERS_A_RUN);
  for (const user of owed) await grantSignupCredits(env, user, credits, now);
  if (owed.length > 0) log("signup_credits_granted", { users: owed.length });
}

/** Warns of users who wait for sign-up credits where no mail can verify their address. Run by the same job. */
export async function warnOfWaiting(env: Env): Promise<void> {
  const waiting = await drizzle(env.DB).$count(
    users,
    and(eq(users.signupGrantDue, true), eq(users.emailVerified, false)),
  );
  if (waiting > 0) log("signup_credits_waiting", { users: waiting });
}
