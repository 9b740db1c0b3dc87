import { Hono } from "hono";
import { readConfig } from "../config.ts";
import { CHANGELOG_PATH } from "./docs/changelog/routes.tsx";
import { REFERENCE_PATHS } from "./docs/reference/routes.tsx";
import { cachePublicly, type PagesEnv, siteOrigin } from "./env.ts";
import { hasLegalPages } from "./site.ts";
import { LANGUAGES } from "./texts/language.ts";

/** Files that search engines and browsers request from every site. */
export const discovery = new Hono<PagesEnv>();

/** RFC 9309. Pages of an account need a session; the API is for programs. */
discovery.get("/robots.txt", (c) => {
  cachePublicly(c);
  const closed = ["/account", "/operator", "/language/", "/api/", "/openai/", "/images/", "/mcp"].map(
    (path) => `Disallow: ${path}`,
  );
  return c.text(["User-agent: *", ...closed, "", `Sitemap: ${siteOrigin(c)}/sitemap.xml`, ""].join("\n"));
});

/** https://www.sitemaps.org/protocol.html */
discovery.get("/sitemap.xml", (c) => {
  cachePublicly(c);
  const isLegal = hasLegalPages(readConfig(c.env));
  const localized = LANGUAGES.flatMap(({ paths: { terms, privacy, search: _, ...others } }) => [
    ...Object.values(others),
    ...(isLegal ? [terms, privacy] : []),
  ]);
  const paths = [...localized, ...REFERENCE_PATHS, CHANGELOG_PATH];
  const urls = paths.map((path) => `<url><loc>${siteOrigin(c)}${path}</loc></url>`);
  const namespace = "http://www.sitemaps.org/schemas/sitemap/0.9";
  const sitemap = `<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="${namespace}">${urls.join("")}</urlset>`;
  return c.body(sitemap, 200, { "Content-Type": "application/xml; charset=utf-8" });
});

/** Pages name their icon. Older programs ask for this one. */
discovery.get("/favicon.ico", (c) => c.redirect("/assets/icon.svg", 301));
