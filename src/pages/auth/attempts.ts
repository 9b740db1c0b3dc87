import type { Context } from "hono";
import { type Counted, countAttempts } from "../../auth/throttle.ts";
import { networkOf } from "../../network.ts";
import { PageError, type PagesEnv } from "../env.ts";

const MINUTE_MS = 60_000;

/**
 * In ten minutes: sign-ins with one email address from one network, and sign-ins from one network. Sign-ins with one
 * address from all networks are only slowed down: a hard limit would let anyone lock the owner out.
 */
export const SIGN_INS_PER_EMAIL_MAX = 10;
export const SIGN_INS_PER_NETWORK_MAX = 30;
export const SIGN_INS_FAST_MAX = 10;
const SLOWER_MS = 500;
const SLOWER_MS_MAX = 10_000;
/** In ten minutes, from one network: sign-ins with a passkey that were begun. Some are begun when the page opens. */
export const PASSKEYS_ASKED_MAX = 60;
/** In an hour. */
export const SIGN_UPS_PER_NETWORK_MAX = 20;
export const RESETS_PER_EMAIL_MAX = 3;
const RESETS_PER_NETWORK_MAX = 20;
/** Changes of one user, and mails about them to one address. */
export const EMAIL_CHANGES_MAX = 3;

/** Counts a sign-in. Returns how many there were for the address, from all networks, this one included. */
export async function countSignIn(c: Context<PagesEnv>, email: string): Promise<number> {
  const [, , fromAllNetworks] = await count(c, 10 * MINUTE_MS, [
    ["in_email", `${email} ${network(c)}`, SIGN_INS_PER_EMAIL_MAX],
    ["in", network(c), SIGN_INS_PER_NETWORK_MAX],
    ["in_all", email, null],
  ]);
  return fromAllNetworks?.count ?? 0;
}

/** Counts a sign-in with a passkey that is begun. */
export async function countPasskeyAsked(c: Context<PagesEnv>): Promise<void> {
  await count(c, 10 * MINUTE_MS, [["in_asked", network(c), PASSKEYS_ASKED_MAX]]);
}

/** Counts a sign-in with a passkey, GitHub or Google. No address is known yet. */
export async function countOtherSignIn(c: Context<PagesEnv>): Promise<void> {
  await count(c, 10 * MINUTE_MS, [["in", network(c), SIGN_INS_PER_NETWORK_MAX]]);
}

export async function countSignUp(c: Context<PagesEnv>): Promise<void> {
  await count(c, 60 * MINUTE_MS, [["up", network(c), SIGN_UPS_PER_NETWORK_MAX]]);
}

/** Counts a request for a reset link. Returns how many there were for the address, this one included. */
export async function countResetRequest(c: Context<PagesEnv>, email: string): Promise<number> {
  const [forEmail] = await count(c, 60 * MINUTE_MS, [
    ["reset_email", email, null],
    ["reset", network(c), RESETS_PER_NETWORK_MAX],
  ]);
  return forEmail?.count ?? 0;
}

/** Counts an attempt to set a new password with a link. */
export async function countReset(c: Context<PagesEnv>): Promise<void> {
  await count(c, 60 * MINUTE_MS, [["reset", network(c), RESETS_PER_NETWORK_MAX]]);
}

/** Counts a change of the email address. Returns how many there were to the new one, this one included. */
export async function countEmailChange(
  c: Context<PagesEnv>,
  userId: string,
  newEmail: string,
): Promise<number> {
  const [, toAddress] = await count(c, 60 * MINUTE_MS, [
    ["change", userId, EMAIL_CHANGES_MAX],
    ["change_to", newEmail, null],
  ]);
  return toAddress?.count ?? 0;
}

/** The delay of a sign-in with an address that is tried often. @param count the sign-ins so far, this one included */
export function signInDelayMs(count: number): number {
  return Math.min(Math.max(0, count - SIGN_INS_FAST_MAX) * SLOWER_MS, SLOWER_MS_MAX);
}

/** The network of the caller, as the platform reports it. In development all requests have the same one. */
function network(c: Context<PagesEnv>): string {
  return networkOf(c.req.header("CF-Connecting-IP") ?? "unknown");
}

/**
 * Counts one attempt under each key.
 * @param tries the kind of attempt, who makes it, and the limit; null where attempts are counted but not limited
 * @throws {PageError} 429 when a limit is exceeded
 */
async function count(
  c: Context<PagesEnv>,
  spanMs: number,
  tries: readonly (readonly [kind: string, who: string, limit: number | null])[],
): Promise<Counted[]> {
  const attempts = tries.map(([kind, who]) => ({ key: `${kind}:${who}`, spanMs }));
  const counts = await countAttempts(c.env.DB, attempts, Date.now());
  const exceeded = counts.filter(({ count }, at) => count > (tries[at]?.[2] ?? Number.POSITIVE_INFINITY));
  if (exceeded.length === 0) return counts;
  const seconds = Math.max(...exceeded.map(({ waitSeconds }) => waitSeconds));
  c.header("Retry-After", String(seconds));
  throw new PageError(429, c.get("texts").errors.againInMinutes(Math.ceil(seconds / 60)));
}
