import { Hono } from "hono";
import type { FC } from "hono/jsx";
import type { UsageRow } from "../../account/store/usage.ts";
import { type CsvCell, csvOf } from "../../http/csv.ts";
import { KEYS_LISTED_MAX, listKeys } from "../../keys/manage.ts";
import type { PagesEnv } from "../env.ts";
import { Table } from "../parts.tsx";
import { english, type Texts } from "../texts/english.tsx";
import { useTexts } from "../texts/language.ts";
import { type Series, UsageChart } from "./chart.tsx";

/** The usage of the last days: a plot by day, key and model, the same as a table, and as a file. */

const DAYS_SHOWN = 30;
const DAY_MS = 86_400_000;
/** A plot of more colors cannot be read: the rest is one series. */
const SERIES_MAX = 5;
/** Of the file: a year, and far more rows than anybody looks through. */
const FILE_DAYS = 366;
const FILE_ROWS_MAX = 50_000;

const VIEWS = ["model", "key"] as const;

type View = (typeof VIEWS)[number];

export type Usage = { view: View; today: number; series: readonly Series[] };

/** @param view the `usage` parameter of the page: anything else than `key` is `model` */
export async function readUsage(
  env: Env,
  userId: string,
  view: string | undefined,
  texts: Texts,
): Promise<Usage> {
  const by: View = view === "key" ? "key" : "model";
  const today = Math.floor(Date.now() / DAY_MS);
  const query = {
    ...{ livemode: true, firstDay: today - DAYS_SHOWN + 1, lastDay: today },
    by: { day: true, key: by === "key", model: by === "model" },
  };
  const [rows, names] = await Promise.all([
    env.ACCOUNT.getByName(userId).usage(query, FILE_ROWS_MAX),
    by === "key" ? keyNames(env, userId) : new Map<string, string>(),
  ]);
  return { view: by, today, series: seriesOf(rows, (row) => nameOf(row, by, names, texts), texts) };
}

/** Names of a user's keys by id. Of many, old ones are missing and shown by their id. */
export async function keyNames(env: Env, userId: string): Promise<Map<string, string>> {
  const page = { limit: KEYS_LISTED_MAX, cursor: null, now: Date.now() };
  const { keys } = await listKeys(env.DB, userId, page);
  return new Map(keys.map(({ id, name }) => [id, name]));
}

function nameOf(
  { keyId, model }: UsageRow,
  by: View,
  names: ReadonlyMap<string, string>,
  { frame, usage }: Texts,
): string {
  if (by === "model") return model === "" || model === null ? usage.notKnown : model;
  return keyId === "" || keyId === null ? frame.playground : (names.get(keyId) ?? keyId);
}

/** The series that spent most, the largest first, and the rest as one. */
function seriesOf(rows: readonly UsageRow[], name: (row: UsageRow) => string, { usage }: Texts): Series[] {
  const all = new Map<string, Series>();
  for (const row of rows) {
    const known = all.get(name(row)) ?? { name: name(row), days: new Map<number, number>(), total: 0 };
    const day = row.day ?? 0;
    known.days.set(day, (known.days.get(day) ?? 0) + row.credits);
    all.set(known.name, { ...known, total: known.total + row.credits });
  }
  const sorted = [...all.values()].sort((a, b) => b.total - a.total || (a.name < b.name ? -1 : 1));
  const rest = sorted.slice(SERIES_MAX);
  if (rest.length === 0) return sorted;
  const days = new Map<number, number>();
  for (const one of rest) {
    for (const [day, credits] of one.days) days.set(day, (days.get(day) ?? 0) + credits);
  }
  const total = rest.reduce((sum, one) => sum + one.total, 0);
  return [...sorted.slice(0, SERIES_MAX), { name: usage.others(rest.length), days, total }];
}

export const UsagePanel: FC<{ usage: Usage }> = ({ usage: { view, today, series } }) => {
  const { usage } = useTexts();
  return (
    <section class="panel" aria-labelledby="usage">
      <div class="title-row">
        <h2 id="usage">{usage.daily}</h2>
        <ul class="filters" aria-label={usage.show}>
          {VIEWS.map((by) => (
            <li>
              <a href={`/account/credits?usage=${by}#usage`} aria-current={by === view ? "true" : undefined}>
                {by === "key" ? usage.byKey : usage.byModel}
              </a>
            </li>
          ))}
        </ul>
      </div>
      <UsageChart series={series} count={DAYS_SHOWN} today={today} />
      <details>
        <summary>{usage.asTable}</summary>
        <UsageTable series={series} name={view === "key" ? usage.key : usage.model} />
      </details>
      <p class="more">
        <a href="/account/credits/usage.csv">{usage.download}</a>
      </p>
    </section>
  );
};

const UsageTable: FC<{ series: readonly Series[]; name: string }> = ({ series, name }) => {
  const { usage, format } = useTexts();
  const rows = series.flatMap((one) =>
    [...one.days].map(([day, credits]) => ({ day, name: one.name, credits })),
  );
  rows.sort((a, b) => b.day - a.day);
  return (
    <Table label={usage.usage} head={[usage.day, name, usage.credits]}>
      {rows.map((row) => (
        <tr>
          <td>{format.date(row.day * DAY_MS)}</td>
          <td>{row.name}</td>
          <td class="number">{format.number(row.credits)}</td>
        </tr>
      ))}
    </Table>
  );
};

export const usageFile = new Hono<PagesEnv>();

usageFile.get("/usage.csv", async (c) => {
  const { userId } = c.get("signedIn");
  const lastDay = Math.floor(Date.now() / DAY_MS);
  const by = { day: true, key: true, model: true };
  const query = { livemode: true, firstDay: lastDay - FILE_DAYS + 1, lastDay, by };
  const [rows, names] = await Promise.all([
    c.env.ACCOUNT.getByName(userId).usage(query, FILE_ROWS_MAX),
    keyNames(c.env, userId),
  ]);
  const columns = ["day", "key", "api_key_id", "model", "generations", "images", "credits"];
  const cells = rows.map((row): CsvCell[] => [
    ...[new Date((row.day ?? 0) * DAY_MS).toISOString().slice(0, 10), nameOf(row, "key", names, english)],
    ...[row.keyId, row.model, row.generations, row.images, row.credits],
  ]);
  c.header("Content-Type", "text/csv; charset=utf-8");
  c.header("Content-Disposition", 'attachment; filename="usage.csv"');
  return c.body(csvOf(columns, cells));
});
