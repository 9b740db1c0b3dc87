import type { Context } from "hono";
import { createMiddleware } from "hono/factory";
import { openRequestSessions, PageError, type PagesEnv, setCookies } from "../env.ts";

/** Requires a signed-in user. Redirects everyone else to the sign-in page, which returns here. */
export const guard = createMiddleware<PagesEnv>(async (c, next) => {
  const sessions = await openRequestSessions(c);
  const signedIn = await sessions.current();
  if (!signedIn) {
    if (wantsJson(c.req.header("Accept"))) return c.json({ signIn: true }, 401);
    const { pathname, search } = new URL(c.req.url);
    // The fields of a form are lost, so sign-in returns to the page with the form.
    const back = c.req.method === "GET" ? `${pathname}${search}` : pathname.replace(/\/(revoke|end)$/, "");
    return c.redirect(`/sign-in?next=${encodeURIComponent(back)}`, 303);
  }
  if (signedIn.isSuspended) {
    await sessions.signOut();
    setCookies(c, sessions);
    throw new PageError(403, c.get("texts").errors.suspended);
  }
  c.set("sessions", sessions);
  c.set("signedIn", signedIn);
  c.set("userId", signedIn.userId);
  await next();
  setCookies(c, sessions);
  c.header("Cache-Control", "private, no-store");
  return undefined;
});

/** Whether the request comes from one of our scripts. */
export function wantsJson(accept: string | undefined): boolean {
  return accept?.startsWith("application/json") ?? false;
}

/** Without a password, a sign-in of the last minutes proves who asks. */
export const RECENT_MINUTES = 15;

/**
 * Verifies the user before the ways to sign in change: a session alone is not enough.
 * @returns why the user is not verified, or null
 */
export async function doubtUser(
  c: Context<PagesEnv>,
  password: string,
  now: number,
): Promise<"wrong_password" | "not_recent" | null> {
  const sessions = c.get("sessions");
  const { userId, signedInAt } = c.get("signedIn");
  if (await sessions.hasPassword(userId)) {
    return (await sessions.isPassword(password)) ? null : "wrong_password";
  }
  return signedInAt < now - RECENT_MINUTES * 60_000 ? "not_recent" : null;
}
