import { makeZip } from "client-zip";
import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { GenerationFilter } from "../../account/store/generations.ts";
import type { GenerationDetail } from "../../account/views.ts";
import { readConfig } from "../../config.ts";
import { offeredModels } from "../../generations/models.ts";
import { findGeneration, listDetails, SEARCHED_ROWS_MAX } from "../../generations/read.ts";
import { isGenerationId, isKeyId } from "../../id.ts";
import { PageError, type PagesEnv } from "../env.ts";
import { formatNumber, imageFileName } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { Empty, Gallery } from "../parts.tsx";
import { keyNames } from "./usage.tsx";

/** The list of images, with a search, filters, and a download of several at once. */
export const history = new Hono<PagesEnv>();

const TILES_SHOWN = 24;
const SEARCH_LENGTH_MAX = 100;
const WORDS_MAX = 8;
const DAY_MS = 86_400_000;
/** The `key` of generations that no key paid for. */
const PLAYGROUND = "playground";

const STATUSES = [
  { value: "succeeded", words: "Ready" },
  { value: "processing", words: "Generating" },
  { value: "queued", words: "Queued" },
  { value: "failed", words: "Failed" },
  { value: "canceled", words: "Canceled" },
] as const;

const MODES = [
  { value: "live", words: "Live" },
  { value: "test", words: "Test" },
] as const;

const FIELDS = ["q", "status", "model", "key", "from", "to", "mode"] as const;

/** The fields of the form as text. Those that are empty or have no meaning do not count. */
type Search = Readonly<Record<(typeof FIELDS)[number], string>>;

function readSearch(query: (name: string) => string | undefined): Search {
  const [q, status, model, key, from, to, mode] = FIELDS.map((name) => query(name)?.trim() ?? "");
  return {
    q: q?.slice(0, SEARCH_LENGTH_MAX) ?? "",
    status: STATUSES.find(({ value }) => value === status)?.value ?? "",
    model: model ?? "",
    key: key === PLAYGROUND || isKeyId(key ?? "") ? (key ?? "") : "",
    from: dayOf(from) === null ? "" : (from ?? ""),
    to: dayOf(to) === null ? "" : (to ?? ""),
    mode: mode === "test" ? "test" : "",
  };
}

/** The beginning of a day in UTC, in milliseconds since 1970, or null. */
function dayOf(text: string | undefined): number | null {
  const time = /^\d{4}-\d\d-\d\d$/.test(text ?? "") ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return Number.isNaN(time) ? null : time;
}

function filterOf({ q, status, model, key, from, to, mode }: Search): GenerationFilter {
  const words = q.split(/\s+/).slice(0, WORDS_MAX);
  const [first, last] = [dayOf(from), dayOf(to)];
  return {
    livemode: mode !== "test",
    status: STATUSES.find(({ value }) => value === status)?.value ?? null,
    model: model === "" ? null : model,
    createdAfter: first === null ? null : first - 1,
    createdBefore: last === null ? null : last + DAY_MS,
    ...(q === "" ? {} : { words }),
    ...(key === "" ? {} : { keyId: key === PLAYGROUND ? "" : key }),
  };
}

function hrefOf(search: Search, before: string | null = null): string {
  const query = new URLSearchParams(
    FIELDS.flatMap((name) => (search[name] === "" ? [] : [[name, search[name]]])),
  );
  if (before !== null) query.set("before", before);
  return query.size === 0 ? "/account/generations" : `/account/generations?${query}`;
}

history.get("/", async (c) => {
  const signedIn = c.get("signedIn");
  const config = readConfig(c.env);
  const search = readSearch((name) => c.req.query(name));
  const filter = filterOf(search);
  const asked = c.req.query("before") ?? "";
  const before = isGenerationId(asked) ? asked : null;
  const [page, names] = await Promise.all([
    listDetails(signedIn.userId, filter, before, TILES_SHOWN, c.env),
    keyNames(c.env, signedIn.userId),
  ]);
  return c.html(
    <AccountPage title="Images" at="/account/generations" signedIn={signedIn} scripts={["live.js"]}>
      <h1>Images</h1>
      <SearchForm search={search} models={offeredModels(config).map(({ id }) => id)} keys={names} />
      <Found generations={page.generations} isSearch={hrefOf(search) !== hrefOf(readSearch(() => ""))} />
      <p class="more pages">
        {before === null ? null : <a href={hrefOf(search)}>Newest</a>}
        {page.next === null ? null : <a href={hrefOf(search, page.next)}>Older</a>}
        {page.next !== null && page.generations.length < TILES_SHOWN ? (
          <span class="hint">A page searches {formatNumber(SEARCHED_ROWS_MAX)} generations.</span>
        ) : null}
      </p>
    </AccountPage>,
  );
});

const Found: FC<{ generations: readonly GenerationDetail[]; isSearch: boolean }> = ({
  generations,
  isSearch,
}) =>
  generations.length === 0 ? (
    <Empty>
      <p>{isSearch ? "No images match." : "No images."}</p>
      <p>
        {isSearch ? (
          <a href="/account/generations">Show all images</a>
        ) : (
          <a href="/account/playground">Generate an image</a>
        )}
      </p>
    </Empty>
  ) : (
    <form method="get" action="/account/generations/images.zip">
      <Gallery generations={generations} isSelectable />
      <p class="selection">
        <button class="button quiet small" type="submit">
          Download selected (zip)
        </button>
      </p>
    </form>
  );

const SearchForm: FC<{ search: Search; models: readonly string[]; keys: ReadonlyMap<string, string> }> = ({
  search,
  models,
  keys,
}) => {
  const paying = [...keys].map(([value, words]) => ({ value, words }));
  const isNarrowed = FIELDS.some((name) => name !== "q" && search[name] !== "");
  return (
    <form method="get" action="/account/generations" class="search">
      <div class="search-row">
        <label class="unseen" for="q">
          Search in prompts
        </label>
        <input
          id="q"
          name="q"
          type="search"
          value={search.q}
          maxlength={SEARCH_LENGTH_MAX}
          placeholder="Search in prompts"
        />
        <button class="button" type="submit">
          Search
        </button>
      </div>
      <details open={isNarrowed}>
        <summary>Filters</summary>
        <div class="search-fields">
          <Pick name="status" label="Status" options={STATUSES} value={search.status} />
          <Pick
            name="model"
            label="Model"
            options={models.map((id) => ({ value: id, words: id }))}
            value={search.model}
          />
          <Pick
            name="key"
            label="Key"
            options={[{ value: PLAYGROUND, words: "Playground" }, ...paying]}
            value={search.key}
          />
          <Pick name="mode" label="Mode" options={MODES} value={search.mode || "live"} />
          <Day name="from" label="From" value={search.from} />
          <Day name="to" label="To" value={search.to} />
        </div>
        <p class="hint">Days are in UTC.</p>
      </details>
    </form>
  );
};

/** A select. Without `Mode`, whose first option is the default, its first option is any value. */
const Pick: FC<{
  name: (typeof FIELDS)[number];
  label: string;
  options: readonly { value: string; words: string }[];
  value: string;
}> = ({ name, label, options, value }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <select id={name} name={name}>
      {name === "mode" ? null : <option value="">All</option>}
      {options.map((option) => (
        <option value={option.value} selected={option.value === value}>
          {option.words}
        </option>
      ))}
    </select>
  </div>
);

const Day: FC<{ name: string; label: string; value: string }> = ({ name, label, value }) => (
  <div class="field">
    <label for={name}>{label}</label>
    <input id={name} name={name} type="date" value={value} />
  </div>
);

/** The images of the generations in `id`, as one file. They are streamed one after the other, and not compressed again. */
history.get("/images.zip", async (c) => {
  const { userId } = c.get("signedIn");
  const ids = [...new Set(c.req.queries("id") ?? [])];
  if (ids.length === 0) throw new PageError(400, "Select at least one image on the page before.");
  if (ids.length > TILES_SHOWN) throw new PageError(400, `Select at most ${TILES_SHOWN} images.`);
  const now = Date.now();
  const found = await Promise.all(ids.map((id) => findGeneration(userId, id, null, now, c.env)));
  const generations = found.filter((generation) => generation !== null);
  if (!generations.some(({ images }) => images.length > 0)) throw new PageError(404, "These have no images.");
  c.header("Content-Type", "application/zip");
  c.header("Content-Disposition", 'attachment; filename="images.zip"');
  return c.body(makeZip(filesOf(generations, c.env.IMAGES)));
});

/** Opens one image at a time, when the one before has been sent. Leaves out those that are gone. */
async function* filesOf(generations: readonly GenerationDetail[], bucket: R2Bucket) {
  for (const { images, request, createdAt } of generations) {
    for (const image of images) {
      const object = await bucket.get(image.key);
      if (object === null) continue;
      const name = imageFileName(request.prompt, image);
      yield { name, input: object.body, lastModified: createdAt, size: object.size };
    }
  }
}
