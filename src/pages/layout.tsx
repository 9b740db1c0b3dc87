import { raw } from "hono/html";
import type { Child, FC } from "hono/jsx";
import type { SignedIn } from "../auth/sessions.ts";
import { assetPath } from "./assets.ts";
import { footerLinks } from "./site.ts";
import { english, type Texts } from "./texts/english.tsx";
import { LANGUAGES, TextsProvider, useTexts } from "./texts/language.ts";

type PageProps = {
  title: string;
  /** The texts of the page, in its language. */
  texts: Texts;
  description?: string | undefined;
  /** Which of {@link Texts.paths} this page is, if it is one. */
  localized?: keyof Texts["paths"] | undefined;
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

type DocumentProps = PageProps & {
  /** File name of the stylesheet that the page needs beside base.css. */
  styles: string;
  /** Those that the page's scripts use, if not all. */
  scriptTexts?: Partial<Texts["scripts"]>;
};

const Document: FC<DocumentProps> = ({
  title,
  styles,
  texts,
  description,
  localized,
  scripts = [],
  origin,
  feed,
  refresh,
  scriptTexts = texts.scripts,
  children,
}) => (
  <TextsProvider value={texts}>
    {raw("<!doctype html>")}
    <html lang={texts.lang}>
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
        {localized === undefined || origin === undefined
          ? null
          : [...LANGUAGES, { lang: "x-default", paths: english.paths }].map(({ lang, paths }) => (
              <link rel="alternate" hreflang={lang} href={`${origin}${paths[localized]}`} />
            ))}
        {feed === undefined ? null : <link rel="alternate" type="application/atom+xml" href={feed} />}
        <link rel="icon" href={assetPath("icon.svg")} type="image/svg+xml" />
        <link rel="stylesheet" href={assetPath("base.css")} />
        <link rel="stylesheet" href={assetPath(styles)} />
        {scripts.length === 0 ? null : <ScriptTexts texts={scriptTexts} />}
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
  </TextsProvider>
);

/** The texts of the scripts as data, which the policy allows: browsers do not run it. */
const ScriptTexts: FC<{ texts: Partial<Texts["scripts"]> }> = ({ texts }) => (
  <script type="application/json" id="texts">
    {raw(JSON.stringify(texts).replaceAll("<", "\\u003c"))}
  </script>
);

/** Links to this page in the other languages. */
const Languages: FC = () => {
  const { lang } = useTexts();
  return LANGUAGES.filter((other) => other.lang !== lang).map((other) => (
    <a href={`/language/${other.lang}`} lang={other.lang} hreflang={other.lang} rel="nofollow">
      {other.name}
    </a>
  ));
};

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

type PublicProps = PageProps & {
  /** Without the button that leads to sign-up. */
  plain?: boolean | undefined;
  /** Whether the page is in one language only. */
  isOneLanguage?: boolean | undefined;
};

/** The frame of public pages. */
export const PublicPage: FC<PublicProps> = ({ children, plain, isOneLanguage, ...document }) => {
  // Those of copy.js and passkeys.js: no other script of a public page has texts.
  const { copied, notCopied, passkeyMissing, passkeyKnown, passkeyUnused, passkeyFailed } =
    document.texts.scripts;
  const scriptTexts = document.scripts?.includes("passkeys.js")
    ? { passkeyMissing, passkeyKnown, passkeyUnused, passkeyFailed }
    : { copied, notCopied };
  return (
    <Document styles="public.css" scriptTexts={scriptTexts} {...document}>
      <PublicHeader plain={plain} isOneLanguage={isOneLanguage} />
      <main id="main" tabindex={-1}>
        {children}
      </main>
      <PublicFooter />
    </Document>
  );
};

const PublicHeader: FC<Pick<PublicProps, "plain" | "isOneLanguage">> = ({
  plain = false,
  isOneLanguage = false,
}) => {
  const { lang, frame, paths } = useTexts();
  return (
    <>
      <Skip />
      <header class="top">
        <div class="wrap top-row">
          <Brand href={paths.home} />
          <nav class="top-nav" aria-label={frame.main}>
            <a href={paths.guide}>{frame.docs}</a>
            {isOneLanguage ? null : <Languages />}
            <a href={authHref("/sign-in", lang)}>{frame.signIn}</a>
            {plain ? null : (
              <a class="button small" href={authHref("/sign-up", lang)}>
                {frame.signUp}
              </a>
            )}
          </nav>
        </div>
      </header>
    </>
  );
};

/**
 * The address of sign-in or sign-up, for links from pages that have an address for each language. They go on in that
 * language; those in English go on in the visitor's own.
 */
export function authHref(path: "/sign-in" | "/sign-up", lang: string): string {
  return lang === english.lang ? path : `/language/${lang}?next=${path}`;
}

const PublicFooter: FC = () => {
  const { frame, paths } = useTexts();
  return (
    <footer class="foot">
      <div class="wrap">
        <p>{frame.footer}</p>
        <ul>
          <li>
            <a href={paths.guide}>{frame.docs}</a>
          </li>
          <li>
            <a href="/docs/reference" hreflang="en">
              {frame.reference}
            </a>
          </li>
          <li>
            <a href="/docs/changelog" hreflang="en">
              {frame.changelog}
            </a>
          </li>
          <li>
            <a href="/openapi.json">OpenAPI</a>
          </li>
          <li>
            <a href="/llms.txt">llms.txt</a>
          </li>
          <OperatorLinks />
        </ul>
      </div>
    </footer>
  );
};

const Skip: FC = () => (
  <a class="skip" href="#main">
    {useTexts().frame.skip}
  </a>
);

/** What the operator has the footer link. */
const OperatorLinks: FC = () => {
  const { frame, paths } = useTexts();
  const { legal, support, status } = footerLinks();
  const links = [
    ...(status === undefined ? [] : [[status, frame.status] as const]),
    ...(support === undefined ? [] : [[`mailto:${support}`, frame.support] as const]),
    ...(legal ? [[paths.terms, frame.terms] as const, [paths.privacy, frame.privacy] as const] : []),
  ];
  return links.map(([href, name]) => (
    <li>
      <a href={href}>{name}</a>
    </li>
  ));
};

/** The frame of the operator's pages, which are in English. */
export const OperatorPage: FC<Omit<PageProps, "texts">> = ({ children, ...document }) => (
  <Document styles="account.css" texts={english} {...document}>
    <Skip />
    <header class="top">
      <div class="wrap top-row">
        <Brand href="/operator" />
      </div>
    </header>
    <main id="main" class="wrap account" tabindex={-1}>
      {children}
    </main>
  </Document>
);

const ACCOUNT_PAGES = [
  ["/account", "overview"],
  ["/account/playground", "playground"],
  ["/account/generations", "images"],
  ["/account/keys", "keys"],
  ["/account/credits", "credits"],
  ["/account/settings", "settings"],
] as const satisfies readonly (readonly [string, keyof Texts["frame"]])[];

type AccountProps = { at?: (typeof ACCOUNT_PAGES)[number][0] | undefined; signedIn: SignedIn };

/** The frame of the account's pages. */
export const AccountPage: FC<PageProps & AccountProps> = ({
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
    <Skip />
    <AccountHeader at={at} signedIn={signedIn} />
    <main id="main" class="wrap account" tabindex={-1}>
      {children}
    </main>
  </Document>
);

const AccountHeader: FC<AccountProps> = ({ at, signedIn }) => {
  const { frame, paths } = useTexts();
  return (
    <header class="top">
      <div class="wrap top-row">
        <Brand href="/account" />
        <div class="top-nav">
          <a href={paths.guide}>{frame.docs}</a>
          <Languages />
          <span class="who" title={signedIn.email}>
            {signedIn.email}
          </span>
          <form method="post" action="/sign-out">
            <button class="link" type="submit">
              {frame.signOut}
            </button>
          </form>
        </div>
      </div>
      <nav class="tabs" aria-label={frame.account}>
        <div class="wrap">
          <ul>
            {ACCOUNT_PAGES.map(([href, name]) => (
              <li>
                <a href={href} aria-current={href === at ? "page" : undefined}>
                  {frame[name]}
                </a>
              </li>
            ))}
          </ul>
        </div>
      </nav>
    </header>
  );
};

type MessageProps = Pick<PageProps, "title" | "texts"> & {
  /** The user, if the page is one of the account's. */
  signedIn?: SignedIn | undefined;
  children?: Child;
};

/** A page with a message. */
export const MessagePage: FC<MessageProps> = ({ title, texts, signedIn, children }) =>
  signedIn ? (
    <AccountPage title={title} texts={texts} signedIn={signedIn}>
      <h1>{title}</h1>
      {children}
    </AccountPage>
  ) : (
    <PublicPage title={`${title} · GPT Image Hub`} texts={texts}>
      <div class="wrap narrow">
        <h1>{title}</h1>
        {children}
      </div>
    </PublicPage>
  );
