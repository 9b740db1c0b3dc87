import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { MARGIN_ROWS } from "../../src/billing/margin.ts";
import { newId } from "../../src/id.ts";
import { operate } from "../support/http.ts";

type Row = { model?: string; tier?: string; quality?: string; images?: number; status?: string; at?: number };

async function log(userId: string, { model = "flux-2-pro", tier = "1K", quality = "auto", ...row }: Row) {
  const { images = 1, status = "succeeded", at = 1_000 } = row;
  await env.LOG.prepare(
    `INSERT INTO generations (user_id, id, status, model, created_at, ended_at, credits_charged, credits_refunded,
      request, error, images) VALUES (?, ?, ?, ?, ?, ?, 100, ?, ?, NULL, ?)`,
  )
    .bind(
      ...[userId, newId("gen"), status, model, at, at, 100 - images * 36],
      ...[JSON.stringify({ tier, renderQuality: quality }), JSON.stringify(Array(images).fill({}))],
    )
    .run();
}

it("adds up credits and list prices by model, resolution and quality", async () => {
  const user = newId("user");
  await log(user, { images: 2 });
  await log(newId("user"), {});
  await log(user, { tier: "2K" });
  await log(user, { model: "gpt-image-2", quality: "medium" });
  await log(user, { model: "gpt-image-2" });
  await log(user, { status: "failed" });
  await log(user, { at: 5_000 });
  const time = "from=1970-01-01T00:00:01.000Z&to=1970-01-01T00:00:05.000Z";
  const { status, body } = await operate("GET", `/margin?${time}`);
  const row = (
    model: string,
    quality: string,
    render_quality: string,
    images: number,
    cost: number | null,
  ) => ({
    ...{ model, quality, render_quality, images, credits: images * 36, provider_cost_usd_micros: cost },
    generations: images === 3 ? 2 : 1,
  });
  expect([status, body]).toEqual([
    200,
    {
      object: "list",
      data: [
        row("flux-2-pro", "1K", "auto", 3, 90_000),
        row("flux-2-pro", "2K", "auto", 1, 75_000),
        row("gpt-image-2", "1K", "auto", 1, null),
        row("gpt-image-2", "1K", "medium", 1, 53_000),
      ],
      has_more: false,
      next_cursor: null,
    },
  ]);
});

it("reads a bounded number of rows for each page", async () => {
  await env.LOG.prepare("DELETE FROM generations").run();
  await env.LOG.prepare(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= ${MARGIN_ROWS})
    INSERT INTO generations (user_id, id, status, model, created_at, ended_at, credits_charged, credits_refunded,
      request, error, images)
    SELECT 'user_01KQGQ0V5E8H2T7J4M9S6D3WXR', printf('gen_%026d', i), 'succeeded', 'flux-2-pro', 1, 1, 36, 0,
      '{"tier":"1K","renderQuality":"auto"}', NULL, '[{}]' FROM n`,
  ).run();
  const page = async (cursor: string) =>
    (await operate("GET", `/margin${cursor === "" ? "" : `?cursor=${cursor}`}`)).body;
  const cursor = `user_01KQGQ0V5E8H2T7J4M9S6D3WXR:gen_${String(MARGIN_ROWS).padStart(26, "0")}`;
  expect(await page("")).toMatchObject({
    data: [{ images: MARGIN_ROWS, credits: MARGIN_ROWS * 36 }],
    ...{ has_more: true, next_cursor: cursor },
  });
  expect(await page(cursor)).toMatchObject({ data: [{ images: 1 }], has_more: false, next_cursor: null });
});

it.each(["from=yesterday", "cursor=x", "cursor=user_1:gen_1", "until=1"])("refuses %s", async (query) => {
  expect((await operate("GET", `/margin?${query}`)).status).toBe(400);
});
