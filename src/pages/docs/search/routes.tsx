import { type Context, Hono } from "hono";
import { type Entry, excerpt, QUERY_LENGTH_MAX, search } from "../../../../public/assets/search/match.js";
import { cachePublicly, type PagesEnv } from "../../env.ts";
import { PublicPage } from "../../layout.tsx";
import { english } from "../guide/english.tsx";
import { renderGuide } from "../guide/routes.tsx";
import { turkish } from "../guide/turkish.tsx";
import { renderReference } from "../reference/routes.tsx";
import { SearchBox } from "./box.tsx";
import { ENTRIES_MAX, entriesOf } from "./entries.ts";

/** The search over the guide and the reference. */
export const searching = new Hono<PagesEnv>();

const RESULTS_MAX = 20;

for (const guide of [english, turkish]) {
  const { texts } = guide;
  const { search: words, paths } = texts;

  /** The sections of all pages, for the search box. */
  searching.get(`${paths.search}.json`, async (c) => {
    cachePublicly(c);
    return c.json(await readEntries(c, guide));
  });

  searching.get(paths.search, async (c) => {
    const query = (c.req.query("q") ?? "").slice(0, QUERY_LENGTH_MAX);
    const found = search(await readEntries(c, guide), query, RESULTS_MAX);
    c.header("X-Robots-Tag", "noindex");
    return c.html(
      <PublicPage title={`${words.title} · GPT Image Hub`} texts={texts} scripts={["search.js"]}>
        <div class="wrap narrow">
          <h1>{words.title}</h1>
          <SearchBox query={query} />
          {query.trim() === "" ? null : found.length === 0 ? (
            <p>{words.none}.</p>
          ) : (
            <Results found={found} query={query} />
          )}
        </div>
      </PublicPage>,
    );
  });
}

const Results = ({ found, query }: { found: readonly Entry[]; query: string }) => (
  <ol class="results">
    {found.map(({ page, path, heading, text }) => (
      <li>
        <a href={path}>{heading}</a> <span class="hint">{page}</span>
        <p>{excerpt(text, query)}</p>
      </li>
    ))}
  </ol>
);

/** Reads the pages as they are shown, so that what is found is there. */
async function readEntries(c: Context<PagesEnv>, guide: typeof english): Promise<Entry[]> {
  const pages = [
    { name: guide.title, path: guide.texts.paths.guide, html: renderGuide(c, guide) },
    ...(await renderReference()),
  ];
  return pages.flatMap(({ name, path, html }) => entriesOf(name, path, html)).slice(0, ENTRIES_MAX);
}
