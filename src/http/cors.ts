import { createMiddleware } from "hono/factory";
import type { AppEnv } from "./env.ts";

/**
 * The headers that scripts of other sites may read, beside those that all may (Fetch, "CORS-safelisted response-header
 * name").
 */
const EXPOSED = [
  "X-Request-Id",
  "Retry-After",
  "RateLimit",
  "RateLimit-Policy",
  "Location",
  "Idempotent-Replayed",
  "Preference-Applied",
  "X-Generation-Id",
  "X-Should-Retry",
].join(", ");
const METHODS = "GET, HEAD, POST, DELETE";
/** How long a browser may keep a preflight's answer. Browsers keep it for at most two hours. */
const PREFLIGHT_SECONDS = 7200;

/**
 * Lets scripts of every site call the API (CORS). No credentials are allowed: a caller needs an API key, and cookies
 * are ignored. A preflight is answered at once, because browsers send it without a key. The request's headers are
 * allowed as requested: SDKs send many of their own, and none is trusted.
 */
export const cors = createMiddleware<AppEnv>(async (c, next) => {
  const preflight = c.req.method === "OPTIONS" && c.req.header("Access-Control-Request-Method") !== undefined;
  if (preflight) {
    return c.body(null, 204, {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Methods": METHODS,
      "Access-Control-Allow-Headers": c.req.header("Access-Control-Request-Headers") ?? "Authorization",
      "Access-Control-Max-Age": String(PREFLIGHT_SECONDS),
      Vary: "Access-Control-Request-Headers",
    });
  }
  await next();
  // A browser sends `Origin` with every request whose response a script of another site wants to read.
  if (c.req.header("Origin") === undefined) return undefined;
  c.res.headers.set("Access-Control-Allow-Origin", "*");
  c.res.headers.set("Access-Control-Expose-Headers", EXPOSED);
  return undefined;
});
