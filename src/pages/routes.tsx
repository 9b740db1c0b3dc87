import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { socialProviders } from "../auth/settings.ts";
import { ConfigError, readConfig } from "../config.ts";
import { describe, log } from "../log.ts";
import { account } from "./account/routes.tsx";
import { reference } from "./docs/reference.tsx";
import { docs } from "./docs/routes.tsx";
import { PageError, type PagesEnv, siteOrigin } from "./env.ts";
import { landing } from "./landing.tsx";
import { MessagePage } from "./layout.tsx";
import { signIn } from "./sign-in.tsx";

/** What people see: pages that work without scripts, held by a policy that lets in nothing from elsewhere. */
export const pages = new Hono<PagesEnv>();

pages.use(
  createMiddleware<PagesEnv>(async (c, next) => {
    await next();
    const wantsPage = c.req.header("Accept")?.includes("text/html");
    if (wantsPage && (c.res.status === 404 || c.res.status === 405) && !isHtml(c.res)) {
      c.res = undefined;
      c.res = await c.html(<NotFound />, 404);
    }
    if (isHtml(c.res)) setHeaders(c);
    else if (c.res.headers.has("Set-Cookie")) c.res.headers.set("Cache-Control", "private, no-store");
  }),
);

/** Refuses every page while the site's origin is unknown: links, samples and mails would contain what a caller claims. */
pages.use(async (c, next) => {
  siteOrigin(c);
  await next();
});

/** A form of another site's must not act for whoever is signed in here: beside SameSite cookies, its origin is asked. */
pages.on(
  "POST",
  ["/sign-in", "/sign-in/*", "/sign-up", "/sign-out", "/forgot-password", "/reset-password", "/account/*"],
  async (c, next) => {
    const origin = c.req.header("Origin");
    const own = [new URL(c.req.url).origin, siteOrigin(c)];
    const trusted =
      origin === undefined ? c.req.header("Sec-Fetch-Site") === "same-origin" : own.includes(origin);
    if (!trusted) throw new PageError(403, "This form was sent from another site.");
    await next();
  },
);

pages.route("/", landing);
pages.route("/", docs);
pages.route("/", reference);
pages.route("/", signIn);
pages.route("/account", account);

pages.onError((error, c) => {
  if (error instanceof PageError) {
    return c.html(
      <MessagePage title="That did not work">
        <p>{error.message}</p>
      </MessagePage>,
      error.status,
    );
  }
  log("page_failed", { request_id: c.get("requestId"), error: describe(error) });
  const status = error instanceof ConfigError ? 503 : 500;
  return c.html(
    <MessagePage title="Something went wrong on our side">
      <p>Please try again in a moment. If it stays, tell us this number: {c.get("requestId")}</p>
    </MessagePage>,
    status,
  );
});

const NotFound = () => (
  <MessagePage title="There is no page at this address">
    <p>
      Perhaps you look for the <a href="/docs">documentation</a> or <a href="/account">your account</a>.
    </p>
  </MessagePage>
);

function isHtml(response: Response): boolean {
  return response.headers.get("Content-Type")?.startsWith("text/html") ?? false;
}

function setHeaders(c: Context<PagesEnv>): void {
  const headers = c.res.headers;
  headers.set("Content-Security-Policy", contentSecurityPolicy(c));
  headers.set("X-Content-Type-Options", "nosniff");
  // Forms need an origin; other sites get no path, which may hold an id.
  headers.set("Referrer-Policy", "strict-origin-when-cross-origin");
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Permissions-Policy", "camera=(), microphone=(), geolocation=()");
  if (c.req.url.startsWith("https:")) headers.set("Strict-Transport-Security", "max-age=31536000");
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", "private, no-store");
}

/** Allows this site alone, the host that pictures come from, and the sites to sign in with, where forms may lead. */
function contentSecurityPolicy(c: Context<PagesEnv>): string {
  const config = readConfig(c.env);
  const pictures = config.IMAGES_BASE_URL === undefined ? "" : ` ${new URL(config.IMAGES_BASE_URL).origin}`;
  const { github, google } = socialProviders(config);
  const others = `${github ? " https://github.com" : ""}${google ? " https://accounts.google.com" : ""}`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    `img-src 'self'${pictures}`,
    "connect-src 'self'",
    `form-action 'self'${others}`,
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
}
