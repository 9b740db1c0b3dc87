import { raw } from "hono/html";
import type { Child, FC } from "hono/jsx";
import type { SignedIn } from "../auth/sessions.ts";
import { assetPath } from "./assets.ts";
import { footerLinks } from "./site.ts";

type Alternate = { lang: string; href: string };

type PageProps = {
  title: string;
  lang?: string | undefined;
  description?: string | undefined;
  alternates?: readonly Alternate[] | undefined;
  /** File names of our scripts. Every page works without them. */
  scripts?: readonly string[] | undefined;
  /** Scheme and host of the site, for the preview that other sites show of a link. */
  origin?: string | undefined;
  /** The Atom feed of the page. */
  feed?: string | undefined;
  /** Seconds after which a browser without scripts reloads the page. */
  refresh?: number | undefined;
  children?: Child;
};

/** @param styles file name of the stylesheet that the page needs beside base.css */
const Document: FC<PageProps & { styles: string }> = ({
  title,
  styles,
  lang = "en",
  description,
  alternates = [],
  scripts = [],
  origin,
  feed,
  refresh,
  children,
}) => (
  <>
    {raw("<!doctype html>")}
    <html lang={lang}>
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>{title}</title>
        {description ? <meta name="description" content={description} /> : null}
        {origin === undefined ? null : (
          <>
            <meta property="og:type" content="website" />
            <meta property="og:title" content={title} />
            <meta property="og:description" content={description} />
            <meta property="og:image" content={`${origin}/assets/pictures/lighthouse.webp`} />
            <meta name="twitter:card" content="summary_large_image" />
          </>
        )}
        {alternates.map((alternate) => (
          <link rel="alternate" hreflang={alternate.lang} href={alternate.href} />
        ))}
        {feed === undefined ? null : <link rel="alternate" type="application/atom+xml" href={feed} />}
        <link rel="icon" href={assetPath("icon.svg")} type="image/svg+xml" />
        <link rel="stylesheet" href={assetPath("base.css")} />
        <link rel="stylesheet" href={assetPath(styles)} />
        {scripts.map((name) => (
          <script type="module" src={assetPath(name)} />
        ))}
        {refresh === undefined ? null : (
          <noscript>
            <meta http-equiv="refresh" content={String(refresh)} />
          </noscript>
        )}
      </head>
      <body>{children}</body>
    </html>
  </>
);

const Brand: FC<{ href: string }> = ({ href }) => (
  <a class="brand" href={href}>
    <svg viewBox="0 0 24 24" width="24" height="24" aria-hidden="true">
      <rect x="1.5" y="1.5" width="21" height="21" rx="5" class="brand-frame" />
      <circle cx="16" cy="8.5" r="2.5" class="brand-sun" />
      <path d="M4 19 L10 11 L13.5 15.5 L15.5 13.5 L20 19 Z" class="brand-hill" />
    </svg>
    <span>GPT Image Hub</span>
  </a>
);

type Words = Record<
  | "skip"
  | "docs"
  | "reference"
  | "changelog"
  | "terms"
  | "privacy"
  | "support"
  | "status"
  | "signIn"
  | "signUp"
  | "footer"
  | "main",
  string
>;

const ENGLISH: Words = {
  skip: "Skip to content",
  docs: "Docs",
  reference: "API reference",
  changelog: "Changelog",
  terms: "Terms",
  privacy: "Privacy",
  support: "Support",
  status: "Status",
  signIn: "Sign in",
  signUp: "Create an account",
  footer: "Prepaid credits. Failed images are refunded automatically.",
  main: "Main",
};

/** The frame of public pages. They are the same for everyone, so that they can be cached. */
export const PublicPage: FC<
  PageProps & { words?: Words | undefined; docsHref?: string | undefined; plain?: boolean | undefined }
> = ({ words = ENGLISH, docsHref = "/docs", plain = false, children, ...document }) => (
  <Document styles="public.css" {...document}>
    <a class="skip" href="#main">
      {words.skip}
    </a>
    <header class="top">
      <div class="wrap top-row">
        <Brand href="/" />
        <nav class="top-nav" aria-label={words.main}>
          <a href={docsHref}>{words.docs}</a>
          <a href="/sign-in">{words.signIn}</a>
          {plain ? null : (
            <a class="button small" href="/sign-up">
              {words.signUp}
            </a>
          )}
        </nav>
      </div>
    </header>
    <main id="main" tabindex={-1}>
      {children}
    </main>
    <footer class="foot">
      <div class="wrap">
        <p>{words.footer}</p>
        <ul>
          <li>
            <a href={docsHref}>{words.docs}</a>
          </li>
          <li>
            <a href="/docs/reference" hreflang="en">
              {words.reference}
            </a>
          </li>
          <li>
            <a href="/docs/changelog" hreflang="en">
              {words.changelog}
            </a>
          </li>
          <li>
            <a href="/openapi.json">OpenAPI</a>
          </li>
          <li>
            <a href="/llms.txt">llms.txt</a>
          </li>
          <OperatorLinks words={words} base={docsHref.replace(/\/docs$/, "")} />
        </ul>
      </div>
    </footer>
  </Document>
);

/** @param base the path of the language */
const OperatorLinks: FC<{ words: Words; base: string }> = ({ words, base }) => {
  const { legal, support, status } = footerLinks();
  const links = [
    ...(status === undefined ? [] : [[status, words.status] as const]),
    ...(support === undefined ? [] : [[`mailto:${support}`, words.support] as const]),
    ...(legal ? [[`${base}/terms`, words.terms] as const, [`${base}/privacy`, words.privacy] as const] : []),
  ];
  return (
    <>
      {links.map(([href, name]) => (
        <li>
          <a href={href}>{name}</a>
        </li>
      ))}
    </>
  );
};

export type { Words as PublicWords };

/** The frame of the operator's pages. */
export const OperatorPage: FC<PageProps> = ({ children, ...document }) => (
  <Document styles="account.css" {...document}>
    <a class="skip" href="#main">
      {ENGLISH.skip}
    </a>
    <header class="top">
      <div class="wrap top-row">
        <Brand href="/operator" />
      </div>
    </header>
    <main id="main" class="wrap" tabindex={-1}>
      {children}
    </main>
  </Document>
);

const ACCOUNT_PAGES = [
  ["/account", "Overview"],
  ["/account/playground", "Playground"],
  ["/account/generations", "Images"],
  ["/account/keys", "API keys"],
  ["/account/credits", "Credits"],
  ["/account/settings", "Settings"],
] as const;

export type AccountPath = (typeof ACCOUNT_PAGES)[number][0];

/** The frame of the account's pages. */
export const AccountPage: FC<PageProps & { at?: AccountPath; signedIn: SignedIn }> = ({
  at,
  signedIn,
  children,
  title,
  scripts = [],
  ...document
}) => (
  <Document
    title={`${title} · GPT Image Hub`}
    styles="account.css"
    scripts={[...scripts, "times.js"]}
    {...document}
  >
    <a class="skip" href="#main">
      {ENGLISH.skip}
    </a>
    <header class="top">
      <div class="wrap top-row">
        <Brand href="/account" />
        <div class="top-nav">
          <a href="/docs">{ENGLISH.docs}</a>
          <span class="who" title={signedIn.email}>
            {signedIn.email}
          </span>
          <form method="post" action="/sign-out">
            <button class="link" type="submit">
              Sign out
            </button>
          </form>
        </div>
      </div>
      <nav class="tabs" aria-label="Account">
        <div class="wrap">
          <ul>
            {ACCOUNT_PAGES.map(([href, name]) => (
              <li>
                <a href={href} aria-current={href === at ? "page" : undefined}>
                  {name}
                </a>
              </li>
            ))}
          </ul>
        </div>
      </nav>
    </header>
    <main id="main" class="wrap account" tabindex={-1}>
      {children}
    </main>
  </Document>
);

/** A page with a message. @param signedIn the user, if the page is one of the account's */
export const MessagePage: FC<{ title: string; signedIn?: SignedIn | undefined; children?: Child }> = ({
  title,
  signedIn,
  children,
}) =>
  signedIn ? (
    <AccountPage title={title} signedIn={signedIn}>
      <h1>{title}</h1>
      {children}
    </AccountPage>
  ) : (
    <PublicPage title={`${title} · GPT Image Hub`}>
      <div class="wrap narrow">
        <h1>{title}</h1>
        {children}
      </div>
    </PublicPage>
  );
