import { createMiddleware } from "hono/factory";
import { createContext, useContext } from "hono/jsx";
import { languageDetector } from "hono/language";
import type { PagesEnv } from "../env.ts";
import { english, type Texts } from "./english.tsx";
import { turkish } from "./turkish.tsx";

/** Every language of the pages. The first one is the default. */
export const LANGUAGES: readonly [Texts, ...Texts[]] = [english, turkish];

/** Its value is the language that the visitor chose. */
export const LANGUAGE_COOKIE = "gih.language";

const detect = languageDetector({
  order: ["cookie", "header"],
  lookupCookie: LANGUAGE_COOKIE,
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

/** The texts of a language, if there are any. */
export function findTexts(lang: string): Texts | undefined {
  return LANGUAGES.find((texts) => texts.lang === lang);
}

const TextsContext = createContext<Texts>(english);

/** Gives the components of a page its texts. */
export const TextsProvider = TextsContext.Provider;

/** The texts of the page that a component is in. */
export function useTexts(): Texts {
  return useContext(TextsContext);
}
