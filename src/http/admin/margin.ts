import { Hono } from "hono";
import * as z from "zod";
import { listCost, MARGIN_ROWS, readMargin } from "../../billing/margin.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, named, page, timestamp } from "../fields.ts";
import { logCursor, renderLogCursor } from "./log-cursor.ts";

const MarginQuery = z.strictObject({
  from: timestamp
    .default(0)
    .meta({ description: "The beginning of the time, included. The first of all by default." }),
  to: timestamp
    .default(Number.MAX_SAFE_INTEGER)
    .meta({ description: "The end of the time, not included. Now by default." }),
  cursor: logCursor,
});

const MarginReport = named("MarginReport", () =>
  z.strictObject({
    object: z.literal("list"),
    data: z.array(
      z.strictObject({
        model: z.string(),
        quality: z.string().meta({ description: "The resolution." }),
        render_quality: z.string(),
        generations: count,
        images: count,
        credits: count.meta({ description: "Charged, less refunded." }),
        provider_cost_usd_micros: count.nullable().meta({
          description: "The list price of the images, in millionths of a US dollar. Null: it is not known.",
        }),
      }),
    ),
    ...page,
  }),
);

export const margin = new Hono<AppEnv>();

margin.get(
  "/margin",
  contract({
    id: "getMargin",
    summary: "Compare credits sold with the provider's list prices",
    description: `Live generations that succeeded, by model and resolution. Each page sums up ${MARGIN_ROWS} rows of the log, in no order of time: read all pages, and add them up.`,
    tag: "operations",
    security: "operator",
    query: MarginQuery,
    answers: {
      200: json("The sums of one page.", MarginReport, {
        object: "list",
        data: [
          {
            ...{ model: "flux-2-pro", quality: "1K", render_quality: "auto" },
            ...{ generations: 10, images: 12, credits: 432, provider_cost_usd_micros: 360_000 },
          },
        ],
        ...{ has_more: false, next_cursor: null },
      }),
    },
  }),
  async (c) => {
    const { from, to, cursor } = c.req.valid("query");
    const { sold, next } = await readMargin(c.env, cursor, from, to);
    const data = sold.map((row) => ({
      ...{ model: row.model, quality: row.tier, render_quality: row.renderQuality },
      ...{ generations: row.generations, images: row.images, credits: row.credits },
      provider_cost_usd_micros: listCost(row),
    }));
    return c.json({ object: "list", data, has_more: next !== null, next_cursor: renderLogCursor(next) });
  },
);
