import { type Context, Hono } from "hono";
import { readConfig } from "../../../config.ts";
import { offeredModels } from "../../../generations/models.ts";
import { cachePublicly, type PagesEnv, siteOrigin } from "../../env.ts";
import { english } from "./english.tsx";
import type { Guide } from "./guide.ts";
import { GuidePage } from "./page.tsx";
import { turkish } from "./turkish.tsx";

export const guides = new Hono<PagesEnv>();

/** The guide in each language. */
export const GUIDES: readonly Guide[] = [english, turkish];

for (const guide of GUIDES) {
  guides.get(guide.texts.paths.guide, (c) => {
    cachePublicly(c);
    return c.html(renderGuide(c, guide));
  });
}

/** The guide as HTML. */
export function renderGuide(c: Context<PagesEnv>, guide: Guide): string {
  const config = readConfig(c.env);
  const content = { guide, origin: siteOrigin(c), config, models: offeredModels(config) };
  return String(<GuidePage {...content} />);
}
