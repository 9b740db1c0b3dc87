import { type Context, Hono } from "hono";
import { setCookie } from "hono/cookie";
import { createMiddleware } from "hono/factory";
import { createContext, useContext } from "hono/jsx";
import { languageDetector } from "hono/language";
import { type PagesEnv, siteOrigin } from "../env.ts";
import { english, type Texts } from "./english.tsx";
import { turkish } from "./turkish.tsx";

/** Every language of the pages. The first one is the default. */
export const LANGUAGES: readonly [Texts, ...Texts[]] = [english, turkish];

const pathNames = ["home", "guide", "terms", "privacy", "search"] as const;

const COOKIE = "gih.language";
const YEAR_SECONDS = 31_536_000;

const detect = languageDetector({
  order: ["cookie", "header"],
  lookupCookie: COOKIE,
  supportedLanguages: LANGUAGES.map(({ lang }) => lang),
  fallbackLanguage: english.lang,
  caches: false,
});

/** Sets `texts`, in the language of the cookie, else of `Accept-Language`, else in English. */
export const withTexts = createMiddleware<PagesEnv>(async (c, next) => {
  await detect(c, async () => {});
  c.set("texts", findTexts(c.get("language")) ?? english);
  await next();
});

function findTexts(lang: string): Texts | undefined {
  return LANGUAGES.find((texts) => texts.lang === lang);
}

const TextsContext = createContext<Texts>(english);

/** Gives the components of a page its texts. */
export const TextsProvider = TextsContext.Provider;

/** The texts of the page that a component is in. */
export function useTexts(): Texts {
  return useContext(TextsContext);
}

export const language = new Hono<PagesEnv>();

/** Keeps the language, and returns to `next` or to the page with the link. */
language.get("/language/:lang", (c) => {
  const texts = findTexts(c.req.param("lang"));
  if (texts === undefined) return c.notFound();
  const secure = c.req.url.startsWith("https:");
  setCookie(c, COOKIE, texts.lang, {
    path: "/",
    maxAge: YEAR_SECONDS,
    sameSite: "Lax",
    httpOnly: true,
    secure,
  });
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
