import { Hono } from "hono";
import { stripeSettings } from "../../billing/settings.ts";
import { readConfig } from "../../config.ts";
import { english as englishGuide } from "../docs/guide/english.tsx";
import { turkish as turkishGuide } from "../docs/guide/turkish.tsx";
import { cachePublicly, type PagesEnv, siteOrigin } from "../env.ts";
import { PublicPage } from "../layout.tsx";
import { Section } from "../parts.tsx";
import { hasLegalPages } from "../site.ts";
import { UPDATED } from "./documents.ts";
import { english } from "./english.ts";
import { turkish } from "./turkish.ts";

/** The terms and the privacy notice. They exist only where the operator and a contact are configured. */
export const legal = new Hono<PagesEnv>();

const LANGUAGES = [
  { guide: englishGuide, documents: english, base: "" },
  { guide: turkishGuide, documents: turkish, base: "/tr" },
] as const;
const NAMES = ["terms", "privacy"] as const;

export const LEGAL_PATHS = LANGUAGES.flatMap(({ base }) => NAMES.map((name) => `${base}/${name}`));

for (const { guide, documents, base } of LANGUAGES) {
  for (const name of NAMES) {
    const { title, description, parts } = documents[name];
    legal.get(`${base}/${name}`, (c) => {
      const config = readConfig(c.env);
      if (!hasLegalPages(config)) return c.notFound();
      cachePublicly(c);
      const facts = {
        operator: config.OPERATOR_NAME,
        email: config.SUPPORT_EMAIL,
        retentionDays: config.RETENTION_DAYS,
        sellsCredits: stripeSettings(config) !== null,
      };
      return c.html(
        <PublicPage
          title={`${title} · GPT Image Hub`}
          description={description}
          lang={guide.lang}
          words={guide.page}
          docsHref={guide.path}
          alternates={LANGUAGES.map((other) => ({
            lang: other.guide.lang,
            href: `${siteOrigin(c)}${other.base}/${name}`,
          }))}
        >
          <div class="wrap narrow">
            <p class="languages">
              {LANGUAGES.map((other) => (
                <a
                  href={`${other.base}/${name}`}
                  lang={other.guide.lang}
                  hreflang={other.guide.lang}
                  aria-current={other.base === base ? "page" : undefined}
                >
                  {other.guide.name}
                </a>
              ))}
            </p>
            <h1>{title}</h1>
            <p class="hint">
              {documents.updated}: <time datetime={UPDATED}>{UPDATED}</time>
            </p>
            {parts(facts).map((part) => (
              <Section linked id={part.id} name={part.name}>
                {part.text.map((paragraph) => (
                  <p>{paragraph}</p>
                ))}
              </Section>
            ))}
          </div>
        </PublicPage>,
      );
    });
  }
}
