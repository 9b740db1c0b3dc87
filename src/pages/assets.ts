import { env } from "cloudflare:workers";
import { Hono } from "hono";
import type { PagesEnv } from "./env.ts";

/** The styles, scripts and images of the pages, under names that change with each deployment. */
export const assets = new Hono<PagesEnv>();

const CURRENT = "public, max-age=31536000, immutable";
/** A page of another version asked: it gets this version's file, which no cache may keep under that name. */
const OTHER = "public, max-age=0, must-revalidate";

/** A file of `public/assets` or of a folder in it: no path that leads elsewhere. */
const FILE = /^(?:[a-z]{1,32}\/)?[a-z-]{1,32}\.[a-z]{1,8}$/;

/** The path of a file of `public/assets`. Scripts import each other by relative paths, so they keep the version. */
export function assetPath(name: string): string {
  return `/assets/${env.VERSION.id}/${name}`;
}

assets.get("/assets/:version{[0-9a-f-]{36}}/:name{.+}", async (c) => {
  const { version, name } = c.req.param();
  if (!FILE.test(name)) return c.notFound();
  const file = await c.env.ASSETS.fetch(new URL(`/assets/${name}`, c.req.url), {
    headers: c.req.raw.headers,
  });
  if (!file.ok && file.status !== 304) return c.notFound();
  const answer = new Response(file.body, file);
  answer.headers.set("Cache-Control", version === c.env.VERSION.id ? CURRENT : OTHER);
  return answer;
});
