import { type Context, Hono } from "hono";
import { deleteCookie, getSignedCookie, setSignedCookie } from "hono/cookie";
import type { CookieOptions } from "hono/utils/cookie";
import { readConfig } from "../../config.ts";
import { viewGates } from "../../dispatch/client.ts";
import { configuredGates } from "../../dispatch/routes.ts";
import { checkOperator, operatorTokens } from "../../http/admin/operator.ts";
import { ApiError } from "../../http/errors.ts";
import { describe, log } from "../../log.ts";
import { readStats, WINDOWS, type Window } from "../../watch/stats.ts";
import { PageError, type PagesEnv, siteOrigin } from "../env.ts";
import { readForm } from "../forms.ts";
import { StatsPage, TokenPage } from "./page.tsx";

/** The reports of the operator's API, as a page. It only reads. */
export const operator = new Hono<PagesEnv>();

const SESSION_SECONDS = 3_600;
/**
 * Holds the end of the session, in milliseconds since 1970, signed with the operator's token: a new token ends all
 * sessions. The token itself is in no cookie.
 */
const COOKIE = "gih_operator";

function cookieOptions(c: Context<PagesEnv>): CookieOptions {
  const secure = siteOrigin(c).startsWith("https:");
  return { path: "/operator", httpOnly: true, sameSite: "Strict", secure, maxAge: SESSION_SECONDS };
}

/** The current token. @throws {PageError} 404 when the operator's routes do not exist */
function currentToken(c: Context<PagesEnv>): string {
  const [token] = operatorTokens(c.env);
  if (token === undefined) throw new PageError(404, "There is no such page.");
  return token;
}

operator.get("/", async (c) => {
  const endsAt = await getSignedCookie(c, currentToken(c), COOKIE);
  const now = Date.now();
  const isSignedIn = typeof endsAt === "string" && Number(endsAt) > now;
  if (!isSignedIn) return c.html(<TokenPage />);
  const asked = c.req.query("window");
  const window = Object.keys(WINDOWS).find((name): name is Window => name === asked) ?? "day";
  const [stats, gates] = await Promise.all([readStats(c.env, window, now), viewGatesOrNull(c)]);
  return c.html(<StatsPage window={window} stats={stats} gates={gates} now={now} />);
});

operator.post("/sign-in", async (c) => {
  const secret = currentToken(c);
  const token = (await readForm(c)).get("token") ?? "";
  try {
    await checkOperator(c, token, operatorTokens(c.env));
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "rateLimited") throw new PageError(429, "Too many attempts. Try again in a minute.");
    return c.html(<TokenPage errors={{ token: "This is not the operator's token." }} />, 422);
  }
  const endsAt = Date.now() + SESSION_SECONDS * 1_000;
  await setSignedCookie(c, COOKIE, String(endsAt), secret, cookieOptions(c));
  return c.redirect("/operator", 303);
});

operator.post("/sign-out", (c) => {
  deleteCookie(c, COOKIE, cookieOptions(c));
  return c.redirect("/operator", 303);
});

/** Null when a gate does not respond: the rest of the page does not need it. */
async function viewGatesOrNull(c: Context<PagesEnv>) {
  try {
    return await viewGates(c.env, configuredGates(readConfig(c.env)));
  } catch (error) {
    log("page_part_failed", { request_id: c.get("requestId"), error: describe(error) });
    return null;
  }
}
