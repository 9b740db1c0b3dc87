import { type Context, Hono } from "hono";
import { contextStorage } from "hono/context-storage";
import { createMiddleware } from "hono/factory";
import type { FC } from "hono/jsx";
import { secureHeaders } from "hono/secure-headers";
import type { SignedIn } from "../auth/sessions.ts";
import { EMAIL_CHANGE_PATH, socialProviders } from "../auth/settings.ts";
import { checkoutOrigin, stripeSettings } from "../billing/settings.ts";
import { ConfigError, readConfig } from "../config.ts";
import { describe, log } from "../log.ts";
import { account } from "./account/routes.tsx";
import { assets } from "./assets.ts";
import { auth } from "./auth/routes.ts";
import { discovery } from "./discovery.ts";
import { changelog } from "./docs/changelog/routes.tsx";
import { guides } from "./docs/guide/routes.tsx";
import { reference } from "./docs/reference/routes.tsx";
import { searching } from "./docs/search/routes.tsx";
import { PageError, type PagesEnv, siteOrigin } from "./env.ts";
import { landing } from "./landing.tsx";
import { language } from "./language.ts";
import { MessagePage } from "./layout.tsx";
import { legal } from "./legal/routes.tsx";
import { operator } from "./operator/routes.tsx";
import type { Texts } from "./texts/english.tsx";
import { withTexts } from "./texts/language.ts";

/** The website. Every page works without scripts, and its policy loads nothing from other sites. */
export const pages = new Hono<PagesEnv>();

/** The frame of every page reads the configuration. */
pages.use(contextStorage());

pages.use(withTexts);

pages.use(
  createMiddleware<PagesEnv>(async (c, next) => {
    await next();
    const wantsPage = c.req.header("Accept")?.includes("text/html");
    if (wantsPage && (c.res.status === 404 || c.res.status === 405) && !isHtml(c.res)) {
      c.res = undefined;
      c.res = await c.html(<NotFound texts={c.get("texts")} signedIn={signedInOf(c)} />, 404);
    }
    if (isHtml(c.res)) await setHeaders(c);
    else if (c.res.headers.has("Set-Cookie")) c.res.headers.set("Cache-Control", "private, no-store");
  }),
);

pages.route("/", assets);

/** Rejects every page while the site's origin is unknown: links, samples and mails would contain the caller's host. */
pages.use(async (c, next) => {
  siteOrigin(c);
  await next();
});

/**
 * Rejects forms sent from other sites. The session cookie is SameSite too. Not `hono/csrf`, which accepts a POST of every
 * media type but a form's, and one with a foreign `Origin` if `Sec-Fetch-Site` is `same-origin`.
 */
pages.on(
  "POST",
  [
    "/sign-in",
    "/sign-in/*",
    "/sign-up",
    "/sign-out",
    "/forgot-password",
    "/reset-password",
    EMAIL_CHANGE_PATH,
    "/account/*",
    "/operator/*",
  ],
  async (c, next) => {
    const origin = c.req.header("Origin");
    const own = [new URL(c.req.url).origin, siteOrigin(c)];
    const trusted =
      origin === undefined ? c.req.header("Sec-Fetch-Site") === "same-origin" : own.includes(origin);
    if (!trusted) throw new PageError(403, c.get("texts").errors.otherSite);
    await next();
  },
);

pages.route("/", landing);
pages.route("/", discovery);
pages.route("/", language);
pages.route("/", guides);
pages.route("/", reference);
pages.route("/", changelog);
pages.route("/", searching);
pages.route("/", legal);
pages.route("/", auth);
pages.route("/account", account);
pages.route("/operator", operator);

pages.onError((error, c) => {
  const texts = c.get("texts");
  const { errors } = texts;
  if (error instanceof PageError) {
    return c.html(
      <MessagePage title={errors.titles[error.status]} texts={texts} signedIn={signedInOf(c)}>
        <p>{error.message}</p>
      </MessagePage>,
      error.status,
    );
  }
  log("page_failed", { request_id: c.get("requestId"), error: describe(error) });
  const status = error instanceof ConfigError ? 503 : 500;
  return c.html(
    <MessagePage title={errors.failed} texts={texts} signedIn={signedInOf(c)}>
      <p>{errors.support(c.get("requestId"))}</p>
    </MessagePage>,
    status,
  );
});

/** The user of an account's page. On other pages nobody has looked. */
function signedInOf(c: Context<PagesEnv>): SignedIn | undefined {
  return c.get("signedIn");
}

const NotFound: FC<{ texts: Texts; signedIn: SignedIn | undefined }> = ({ texts, signedIn }) => {
  const { errors, paths } = texts;
  return (
    <MessagePage title={errors.titles[404]} texts={texts} signedIn={signedIn}>
      <p>
        {errors.notFound(
          <a href={paths.guide}>{errors.documentation}</a>,
          <a href="/account">{errors.yourAccount}</a>,
        )}
      </p>
    </MessagePage>
  );
};

function isHtml(response: Response): boolean {
  return response.headers.get("Content-Type")?.startsWith("text/html") ?? false;
}

/** Allows this site, the host of the images, and the sign-in pages of GitHub and Google and the payment page
 * as targets of forms. */
const secure = secureHeaders({
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: [pictureSources],
    connectSrc: ["'self'"],
    formAction: [formTargets],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
  },
  permissionsPolicy: { camera: [], microphone: [], geolocation: [] },
  // Our own forms need the Origin header. Other sites do not get the path, which may contain an id.
  referrerPolicy: "strict-origin-when-cross-origin",
  // Only over HTTPS (RFC 6797, section 7.2): set below.
  strictTransportSecurity: false,
  xFrameOptions: "DENY",
});

async function setHeaders(c: Context<PagesEnv>): Promise<void> {
  await secure(c, async () => {});
  const headers = c.res.headers;
  if (c.req.url.startsWith("https:")) headers.set("Strict-Transport-Security", "max-age=31536000");
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", "private, no-store");
}

function pictureSources(c: Context): string {
  const { IMAGES_BASE_URL } = readConfig(c.env);
  return IMAGES_BASE_URL === undefined ? "'self'" : `'self' ${new URL(IMAGES_BASE_URL).origin}`;
}

function formTargets(c: Context): string {
  const config = readConfig(c.env);
  const { github, google } = socialProviders(config);
  const stripe = stripeSettings(config);
  return [
    "'self'",
    ...(github ? ["https://github.com"] : []),
    ...(google ? ["https://accounts.google.com"] : []),
    ...(stripe ? [checkoutOrigin(stripe)] : []),
  ].join(" ");
}
