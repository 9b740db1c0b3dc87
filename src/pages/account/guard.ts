import { createMiddleware } from "hono/factory";
import { readConfig } from "../../config.ts";
import { isLoopback } from "../../origin.ts";
import { openRequestSessions, type PagesEnv, setCookies, siteOrigin } from "../env.ts";

/**
 * Lets in whoever is signed in. Anybody else is sent to sign in, and comes back. The first visit with a proven address
 * gets the credits for signing up.
 */
export const guard = createMiddleware<PagesEnv>(async (c, next) => {
  const sessions = await openRequestSessions(c);
  const signedIn = await sessions.current();
  if (!signedIn) {
    if (wantsJson(c.req.header("Accept"))) return c.json({ signIn: true }, 401);
    const { pathname, search } = new URL(c.req.url);
    // What was sent with a form is gone: the page that it stood on is where to come back to.
    const back = c.req.method === "GET" ? `${pathname}${search}` : pathname.replace(/\/(revoke|end)$/, "");
    return c.redirect(`/sign-in?next=${encodeURIComponent(back)}`, 303);
  }
  // Addresses are free to make up: only a proven one gets credits. In development anyone does.
  if (signedIn.signupGrantDue && (signedIn.emailVerified || isLoopback(siteOrigin(c)))) {
    const { giveSignupCredits } = await import("../../sessions/sessions.ts");
    await giveSignupCredits(c.env, signedIn, readConfig(c.env).SIGNUP_CREDITS, Date.now());
  }
  c.set("sessions", sessions);
  c.set("signedIn", signedIn);
  c.set("userId", signedIn.userId);
  await next();
  setCookies(c, sessions);
  c.header("Cache-Control", "private, no-store");
  return undefined;
});

/** Whether our own script asks, rather than somebody's browser. */
export function wantsJson(accept: string | undefined): boolean {
  return accept?.startsWith("application/json") ?? false;
}
