import * as z from "zod";
import { type LogEnv, shardOf } from "../db/log.ts";

/** Rows of the log that one page of the report reads. */
export const MARGIN_ROWS = 5_000;

const Cursor = z.object({ userId: z.string(), generationId: z.string() });

const SoldRow = z.object({
  model: z.string(),
  tier: z.string(),
  renderQuality: z.string(),
  generations: z.int(),
  images: z.int(),
  credits: z.int(),
});

/** What was sold of one kind of image. `credits` are those charged, less those refunded. */
export type Sold = z.output<typeof SoldRow>;

export type MarginPage = {
  sold: Sold[];
  /** Where the next page begins. Null: the log ends here. */
  next: z.output<typeof Cursor> | null;
};

/**
 * List prices of an image in millionths of a US dollar, without references and thinking tokens. Sources: the price pages
 * of OpenAI (1024x1024), Google, Black Forest Labs (first and further megapixels) and Cloudflare, November 2026.
 */
const COSTS: ReadonlyMap<string, number> = new Map([
  ["gpt-image-2 1K low", 6_000],
  ["gpt-image-2 1K medium", 53_000],
  ["gpt-image-2 1K high", 211_000],
  ["gemini-nano-banana-2.1 1K auto", 33_600],
  ["gemini-nano-banana-2.1 2K auto", 50_400],
  ["gemini-nano-banana-2.1 4K auto", 113_400],
  ["gemini-3-pro-image 1K auto", 134_000],
  ["gemini-3-pro-image 2K auto", 134_000],
  ["gemini-3-pro-image 4K auto", 240_000],
  ["flux-2-pro 1K auto", 30_000],
  ["flux-2-pro 2K auto", 75_000],
  ["flux-1-schnell 1K auto", 634],
  ["flux-2-klein-4b 1K auto", 1_148],
]);

/**
 * What the images cost at the provider's list price, in millionths of a US dollar. Null where the price depends on what
 * the provider chose, as with the quality `auto`, or is not known.
 */
export function listCost({ model, tier, renderQuality, images }: Sold): number | null {
  const price = COSTS.get(`${model} ${tier} ${renderQuality}`);
  return price === undefined ? null : price * images;
}

/**
 * Adds up the live generations that were created in a time, over the next {@link MARGIN_ROWS} rows of the log in the
 * order of its key; a page ends with its database. The log has no index on time, so a report reads all of it, page by page.
 * @param from milliseconds, included
 * @param to milliseconds, excluded
 */
export async function readMargin(
  env: LogEnv,
  after: MarginPage["next"],
  from: number,
  to: number,
): Promise<MarginPage> {
  const rows = "SELECT * FROM generations WHERE (user_id, id) > (?1, ?2) ORDER BY user_id, id";
  const cursor = [after?.userId ?? "", after?.generationId ?? ""];
  const { d1, next: nextUserId } = shardOf(env, after?.userId ?? "");
  const [sums, last] = await d1.batch([
    d1
      .prepare(
        `SELECT model, request ->> 'tier' AS tier, request ->> 'renderQuality' AS renderQuality,
          count(*) AS generations, sum(json_array_length(images)) AS images,
          sum(credits_charged - credits_refunded) AS credits
        FROM (${rows} LIMIT ${MARGIN_ROWS})
        WHERE created_at >= ?3 AND created_at < ?4 AND status = 'succeeded'
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
      )
      .bind(...cursor, from, to),
    d1
      .prepare(
        `SELECT user_id AS userId, id AS generationId FROM (${rows} LIMIT 1 OFFSET ${MARGIN_ROWS - 1})`,
      )
      .bind(...cursor),
  ]);
  const [next = nextUserId === null ? null : { userId: nextUserId, generationId: "" }] = z
    .array(Cursor)
    .parse(last?.results);
  return { sold: z.array(SoldRow).parse(sums?.results), next };
}
