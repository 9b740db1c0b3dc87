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
import { imageFileName } from "../format.ts";
import { AccountPage } from "../layout.tsx";
import { Empty, Gallery } from "../parts.tsx";
import { useTexts } from "../texts/language.ts";
import { keyNames } from "./usage.tsx";

/** The list of images, with a search, filters, and a download of several at once. */
export const history = new Hono<PagesEnv>();

const TILES_SHOWN = 24;
/** The first row on a phone. More of them would delay each other. */
const TILES_FIRST = 2;
const SEARCH_LENGTH_MAX = 100;
const WORDS_MAX = 8;
const DAY_MS = 86_400_000;
/** The `key` of generations that no key paid for. */
const PLAYGROUND = "playground";

const STATUSES = ["succeeded", "processing", "queued", "failed", "canceled"] as const;
const MODES = ["live", "test"] as const;

const FIELDS = ["q", "status", "model", "key", "from", "to", "mode"] as const;

/** The fields of the form as text. Empty and invalid ones are ignored. */
type Search = Readonly<Record<(typeof FIELDS)[number], string>>;

function readSearch(query: (name: string) => string | undefined): Search {
  const [q, status, model, key, from, to, mode] = FIELDS.map((name) => query(name)?.trim() ?? "");
  return {
    q: q?.slice(0, SEARCH_LENGTH_MAX) ?? "",
    status: STATUSES.find((value) => value === status) ?? "",
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
    status: STATUSES.find((value) => value === status) ?? null,
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
  const texts = c.get("texts");
  const { frame, history } = texts;
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
    <AccountPage
      title={frame.images}
      texts={texts}
      at="/account/generations"
      signedIn={signedIn}
      scripts={["live.js"]}
    >
      <h1>{frame.images}</h1>
      <SearchForm search={search} models={offeredModels(config).map(({ id }) => id)} keys={names} />
      <Found generations={page.generations} isSearch={hrefOf(search) !== hrefOf(readSearch(() => ""))} />
      <p class="more pages">
        {before === null ? null : <a href={hrefOf(search)}>{history.newest}</a>}
        {page.next === null ? null : <a href={hrefOf(search, page.next)}>{history.older}</a>}
        {page.next !== null && page.generations.length < TILES_SHOWN ? (
          <span class="hint">{history.searched(SEARCHED_ROWS_MAX)}</span>
        ) : null}
      </p>
    </AccountPage>,
  );
});

const Found: FC<{ generations: readonly GenerationDetail[]; isSearch: boolean }> = ({
  generations,
  isSearch,
}) => {
  const { history, parts } = useTexts();
  return generations.length === 0 ? (
    <Empty>
      <p>{isSearch ? history.noMatch : history.none}</p>
      <p>
        {isSearch ? (
          <a href="/account/generations">{history.showAll}</a>
        ) : (
          <a href="/account/playground">{parts.generateImage}</a>
        )}
      </p>
    </Empty>
  ) : (
    <form method="get" action="/account/generations/images.zip">
      <Gallery generations={generations} isSelectable first={TILES_FIRST} />
      <p class="selection">
        <button class="button quiet small" type="submit">
          {history.download}
        </button>
      </p>
    </form>
  );
};

const SearchForm: FC<{ search: Search; models: readonly string[]; keys: ReadonlyMap<string, string> }> = ({
  search,
  models,
  keys,
}) => {
  const { frame, history, parts, status } = useTexts();
  const paying = [...keys].map(([value, words]) => ({ value, words }));
  const isNarrowed = FIELDS.some((name) => name !== "q" && search[name] !== "");
  return (
    <form method="get" action="/account/generations" class="search">
      <div class="search-row">
        <label class="unseen" for="q">
          {history.searchPrompts}
        </label>
        <input
          id="q"
          name="q"
          type="search"
          value={search.q}
          maxlength={SEARCH_LENGTH_MAX}
          placeholder={history.searchPrompts}
        />
        <button class="button" type="submit">
          {history.search}
        </button>
      </div>
      <details open={isNarrowed}>
        <summary>{history.filters}</summary>
        <div class="search-fields">
          <Pick
            name="status"
            label={history.status}
            options={STATUSES.map((value) => ({ value, words: status[value] }))}
            value={search.status}
          />
          <Pick
            name="model"
            label={history.model}
            options={models.map((id) => ({ value: id, words: id }))}
            value={search.model}
          />
          <Pick
            name="key"
            label={history.key}
            options={[{ value: PLAYGROUND, words: frame.playground }, ...paying]}
            value={search.key}
          />
          <Pick
            name="mode"
            label={history.mode}
            options={MODES.map((value) => ({ value, words: parts[value] }))}
            value={search.mode || "live"}
          />
          <Day name="from" label={history.from} value={search.from} />
          <Day name="to" label={history.to} value={search.to} />
        </div>
        <p class="hint">{history.utc}</p>
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
      {name === "mode" ? null : <option value="">{useTexts().history.all}</option>}
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

/**
 * The images of the generations in `id`, as one file. They are streamed one after the other, and not compressed again.
 */
history.get("/images.zip", async (c) => {
  const { userId } = c.get("signedIn");
  const { history } = c.get("texts");
  const ids = [...new Set(c.req.queries("id") ?? [])];
  if (ids.length === 0) throw new PageError(400, history.selectOne);
  if (ids.length > TILES_SHOWN) throw new PageError(400, history.selectMost(TILES_SHOWN));
  const now = Date.now();
  const found = await Promise.all(ids.map((id) => findGeneration(userId, id, null, now, c.env)));
  const generations = found.filter((generation) => generation !== null);
  if (!generations.some(({ images }) => images.length > 0)) throw new PageError(404, history.noImages);
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
