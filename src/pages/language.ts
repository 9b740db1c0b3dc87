import { type Context, Hono } from "hono";
import { setCookie } from "hono/cookie";
import { setLanguage } from "../users/users.ts";
import { hasSession, openRequestSessions, type PagesEnv, setCookies, siteOrigin } from "./env.ts";
import type { Texts } from "./texts/english.tsx";
import { findTexts, LANGUAGE_COOKIE, LANGUAGES } from "./texts/language.ts";

const YEAR_SECONDS = 31_536_000;

const pathNames = ["home", "guide", "terms", "privacy", "search"] as const;

/** The links that choose a language. */
export const language = new Hono<PagesEnv>();

/** Keeps the language, for a user also that of mails, and returns to `next` or to the page with the link. */
language.get("/language/:lang", async (c) => {
  const texts = findTexts(c.req.param("lang"));
  if (texts === undefined) return c.notFound();
  const secure = c.req.url.startsWith("https:");
  setCookie(c, LANGUAGE_COOKIE, texts.lang, {
    path: "/",
    maxAge: YEAR_SECONDS,
    sameSite: "Lax",
    httpOnly: true,
    secure,
  });
  if (hasSession(c)) {
    const sessions = await openRequestSessions(c);
    const signedIn = await sessions.current();
    setCookies(c, sessions);
    if (signedIn) await setLanguage(c.env.DB, signedIn.userId, texts.lang);
  }
  return c.redirect(pageIn(texts, c), 303);
});

/** The page to return to, at its address in the language. It is one of this site; if it is not known, the landing page. */
function pageIn({ paths }: Texts, c: Context<PagesEnv>): string {
  const origin = siteOrigin(c);
  const from = URL.parse(c.req.query("next") ?? c.req.header("Referer") ?? "", origin);
  const home = `${origin}${paths.home}`;
  const pages = pathNames.map((name) => [name, `${origin}${paths[name]}`] as const);
  if (from === null || ![origin, new URL(c.req.url).origin].includes(from.origin)) return home;
  for (const other of LANGUAGES) {
    for (const [name, address] of pages) if (from.pathname === other.paths[name]) return address;
  }
  return from.href;
}
