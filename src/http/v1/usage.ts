import { type Context, Hono } from "hono";
import { accepts } from "hono/accepts";
import * as z from "zod";
import type { UsageRow } from "../../account/store/usage.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import { type CsvCell, csvOf } from "../csv.ts";
import type { AppEnv } from "../env.ts";
import { invalidRequest } from "../errors.ts";
import { count, idOf, listOf, named } from "../fields.ts";

const DAY_MS = 86_400_000;
/** A leap year. */
const DAYS_MAX = 366;
const DAYS = 30;
/** The most rows of a report: about 1 MB. */
export const ROWS_MAX = 10_000;

const GROUPS = ["day", "key", "model"] as const;
type Group = (typeof GROUPS)[number];

const day = z.iso.date().transform((text) => Date.parse(text) / DAY_MS);

const groupBy = z
  .string()
  .transform((text) => (text === "" ? [] : text.split(",")))
  .pipe(
    z
      .array(z.enum(GROUPS, { error: `group_by must be a list of ${GROUPS.join(", ")}, with commas.` }))
      .refine((groups) => new Set(groups).size === groups.length, { message: "group_by has a value twice." }),
  );

const UsageQuery = z.strictObject({
  from: day.optional().meta({
    description: `The first day, in UTC. The default is ${DAYS} days in all, up to \`to\`.`,
    documentedAs: { type: "string", format: "date" },
  }),
  to: day.optional().meta({
    description: `The last day, in UTC; today by default. At most ${DAYS_MAX} days in all.`,
    documentedAs: { type: "string", format: "date" },
  }),
  group_by: groupBy.default([...GROUPS]).meta({
    description: "Any of `day`, `key` and `model`, with commas between them. Empty: one row for all.",
    documentedAs: { type: "string", default: GROUPS.join() },
  }),
});

const UsageReport = named("UsageReport", () =>
  listOf(
    z.strictObject({
      day: z.iso.date().optional().meta({ description: "The UTC day of the charge." }),
      api_key_id: idOf("key").nullable().optional().meta({ description: "Null: the pages." }),
      model: z
        .string()
        .nullable()
        .optional()
        .meta({ description: "Null: not known, for charges before usage was counted." }),
      generations: count,
      images: count.meta({ description: "Delivered images." }),
      credits: count.meta({ description: "Charged, less refunded." }),
    }),
  ),
);

export const usage = new Hono<AppEnv>();

usage.get(
  "/usage",
  contract({
    id: "getUsage",
    summary: "Report usage by day, key and model",
    description:
      "Of all keys of the account and of the pages; a test key sees those of test keys. It equals the ledger at every moment: refunds count for the day of their charge. Each row has what it is grouped by. With `Accept: text/csv` the answer is CSV.",
    tag: "credits",
    security: "apiKey",
    query: UsageQuery,
    answers: {
      200: {
        ...json("The report, in the order of days, keys and models.", UsageReport, {
          object: "list",
          data: [
            {
              ...{ day: "2026-04-30", api_key_id: "key_01KQGQ0V5E8H2T7J4M9S6D3WXR", model: "gpt-image-2" },
              ...{ generations: 3, images: 3, credits: 24 },
            },
          ],
        }),
        mediaType: "text/csv",
      },
    },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const { from, to, group_by: groups } = c.req.valid("query");
    const lastDay = to ?? Math.floor(Date.now() / DAY_MS);
    const firstDay = from ?? lastDay - DAYS + 1;
    if (firstDay > lastDay) throw invalidRequest("from must not be after to.", "from");
    if (lastDay - firstDay >= DAYS_MAX) {
      throw invalidRequest(`from and to must be at most ${DAYS_MAX} days apart, both included.`, "from");
    }
    const by = { day: groups.includes("day"), key: groups.includes("key"), model: groups.includes("model") };
    const account = c.env.ACCOUNT.getByName(userId);
    const rows = await account.usage({ livemode, firstDay, lastDay, by }, ROWS_MAX + 1);
    if (rows.length > ROWS_MAX) {
      const message = `This report has more than ${ROWS_MAX} rows: ask for fewer days, or group by less.`;
      throw invalidRequest(message, "group_by");
    }
    return send(c, groups, rows.map(renderRow));
  },
);

type Row = z.input<typeof UsageReport>["data"][number];

function renderRow({ day, keyId, model, generations, images, credits }: UsageRow): Row {
  return {
    ...(day === null ? {} : { day: new Date(day * DAY_MS).toISOString().slice(0, 10) }),
    ...(keyId === null ? {} : { api_key_id: keyId === "" ? null : keyId }),
    ...(model === null ? {} : { model: model === "" ? null : model }),
    ...{ generations, images, credits },
  };
}

const COLUMNS = { day: "day", key: "api_key_id", model: "model" } as const;

function send(c: Context<AppEnv>, groups: readonly Group[], data: readonly Row[]): Response {
  c.header("Vary", "Accept", { append: true });
  const supports = ["application/json", "text/csv"];
  const type = accepts(c, { header: "Accept", supports, default: "application/json" });
  if (type !== "text/csv") return c.json({ object: "list", data });
  const grouped = GROUPS.filter((group) => groups.includes(group)).map((group) => COLUMNS[group]);
  const columns = [...grouped, "generations", "images", "credits"] as const;
  c.header("Content-Type", "text/csv; charset=utf-8");
  c.header("Content-Disposition", 'attachment; filename="usage.csv"');
  const cells = data.map((row) => columns.map((column): CsvCell => row[column] ?? null));
  return c.body(csvOf(columns, cells));
}
