import type { Context } from "hono";
import type { Sessions, SignedIn } from "../auth/sessions.ts";
import type { AuthSettings } from "../auth/settings.ts";
import { readConfig } from "../config.ts";
import type { AppEnv } from "../http/env.ts";
import { chooseMailer } from "../mailer.ts";
import { publicOrigin } from "../origin.ts";
import type { Texts } from "./texts/english.tsx";

/** Hono's type parameter for the pages. `sessions` and `signedIn` are set on the account's pages only. */
export type PagesEnv = {
  Bindings: Env;
  Variables: AppEnv["Variables"] & { texts: Texts; sessions: Sessions; signedIn: SignedIn };
};

/** Scheme and host of the site. @throws {ConfigError} without PUBLIC_BASE_URL, except on a loopback host */
export function siteOrigin(c: Context<PagesEnv>): string {
  return publicOrigin(readConfig(c.env), c.req.url);
}

/** Whether this server can send mail, such as a link to reset a password. */
export function canSendMail(c: Context<PagesEnv>): boolean {
  return chooseMailer(readConfig(c.env), siteOrigin(c)) !== null;
}

/** What sign-in and its mails need of a request. */
export function authSettings(c: Context<PagesEnv>): AuthSettings {
  return {
    env: c.env,
    config: readConfig(c.env),
    origin: siteOrigin(c),
    mails: c.get("texts").mails,
    language: c.get("texts").lang,
    waitUntil: (work) => c.executionCtx.waitUntil(work),
  };
}

/** Whether the request has a session, valid or not. Without one nobody is signed in. */
export function hasSession(c: Context<PagesEnv>): boolean {
  return c.req.header("Cookie")?.includes("gih.session_token") ?? false;
}

/** Opens the sessions of a request. The sign-in library is large, so it is loaded on first use. */
export async function openRequestSessions(c: Context<PagesEnv>): Promise<Sessions> {
  const { openSessions } = await import("../auth/sessions.ts");
  const sessions = openSessions(authSettings(c), c.req.raw);
  if (!sessions) throw new PageError(503, c.get("texts").errors.notConfigured);
  return sessions;
}

/** Adds the cookies that the sessions collected to the response. */
export function setCookies(c: Context<PagesEnv>, sessions: Sessions): void {
  for (const cookie of sessions.cookies) c.header("Set-Cookie", cookie, { append: true });
}

const PUBLIC_SECONDS = 300;

/** Lets caches store a page, which must be the same for everyone. */
export function cachePublicly(c: Context<PagesEnv>): void {
  c.header("Cache-Control", `public, max-age=${PUBLIC_SECONDS}`);
}

/** An error that is shown to the user as a page. Thrown in src/pages only. */
export class PageError extends Error {
  override readonly name = "PageError";
  readonly status: 400 | 403 | 404 | 413 | 429 | 503;

  constructor(status: PageError["status"], message: string) {
    super(message);
    this.status = status;
  }
}
