import type { Context } from "hono";
import type { Sessions, SignedIn } from "../auth/sessions.ts";
import { readConfig } from "../config.ts";
import type { AppEnv } from "../http/env.ts";
import { publicOrigin } from "../origin.ts";

/** What a page's request carries: Hono's type parameter. The session is there on pages behind the sign-in. */
export type PagesEnv = {
  Bindings: Env;
  Variables: AppEnv["Variables"] & { sessions: Sessions; signedIn: SignedIn };
};

/** Scheme and host of the site. @throws {ConfigError} without PUBLIC_BASE_URL, except on a loopback host */
export function siteOrigin(c: Context<PagesEnv>): string {
  return publicOrigin(readConfig(c.env), c.req.url);
}

/** The library behind it is large and loaded here, on first use: no call of the API should wait for it. */
export async function openRequestSessions(c: Context<PagesEnv>): Promise<Sessions> {
  const { openSessions } = await import("../auth/sessions.ts");
  const sessions = openSessions(
    {
      env: c.env,
      config: readConfig(c.env),
      origin: siteOrigin(c),
      later: (work) => c.executionCtx.waitUntil(work),
    },
    c.req.raw,
  );
  if (!sessions) throw new PageError(503, "Nobody can sign in yet: this server has no AUTH_SECRET.");
  return sessions;
}

/** Has the answer set what the session's doings gathered. */
export function setCookies(c: Context<PagesEnv>, sessions: Sessions): void {
  for (const cookie of sessions.cookies) c.header("Set-Cookie", cookie, { append: true });
}

const PUBLIC_SECONDS = 300;

/** For pages that are the same to everybody. */
export function keepPublic(c: Context<PagesEnv>): void {
  c.header("Cache-Control", `public, max-age=${PUBLIC_SECONDS}`);
}

/** A refusal that a person is to read on a page of its own. Thrown in this room only. */
export class PageError extends Error {
  override readonly name = "PageError";
  readonly status: 400 | 403 | 404 | 413 | 429 | 503;

  constructor(status: PageError["status"], message: string) {
    super(message);
    this.status = status;
  }
}
