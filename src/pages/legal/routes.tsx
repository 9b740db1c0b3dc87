import { Hono } from "hono";
import { stripeSettings } from "../../billing/settings.ts";
import { readConfig } from "../../config.ts";
import { cachePublicly, type PagesEnv, siteOrigin } from "../env.ts";
import { PublicPage } from "../layout.tsx";
import { Section } from "../parts.tsx";
import { hasLegalPages } from "../site.ts";
import { english as englishTexts } from "../texts/english.tsx";
import { turkish as turkishTexts } from "../texts/turkish.tsx";
import { UPDATED } from "./documents.ts";
import { english } from "./english.ts";
import { turkish } from "./turkish.ts";

/** The terms and the privacy notice. They exist only where the operator and a contact are configured. */
export const legal = new Hono<PagesEnv>();

const NAMES = ["terms", "privacy"] as const;

for (const [texts, documents] of [
  [englishTexts, english],
  [turkishTexts, turkish],
] as const) {
  for (const name of NAMES) {
    const { title, description, parts } = documents[name];
    legal.get(texts.paths[name], (c) => {
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
          texts={texts}
          localized={name}
          origin={siteOrigin(c)}
        >
          <div class="wrap narrow">
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
