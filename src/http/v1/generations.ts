import { Hono } from "hono";
import { readConfig } from "../../config.ts";
import { findByIdempotencyKey, findGeneration, listGenerations } from "../../generations/read.ts";
import { authenticate } from "../authenticate.ts";
import { readQuery } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { pollAfterSeconds, renderGeneration } from "./render.ts";
import { GenerationsQuery } from "./schemas.ts";

export const generations = new Hono<AppEnv>();

generations.get("/generations", async (c) => {
  const { idempotency_key: key, limit, cursor, ...filter } = readQuery(c, GenerationsQuery);
  const config = readConfig(c.env);
  const { userId } = await authenticate(c);
  if (key !== undefined) {
    const record = await findByIdempotencyKey(key, filter, userId, c.env);
    const data = record ? [renderGeneration(record, config)] : [];
    return c.json({ object: "list", data, has_more: false, next_cursor: null });
  }
  const page = await listGenerations(userId, filter, cursor, limit, c.env);
  return c.json({
    object: "list",
    data: page.records.map((record) => renderGeneration(record, config)),
    has_more: page.hasMore,
    next_cursor: page.hasMore ? (page.records.at(-1)?.id ?? null) : null,
  });
});

generations.get("/generations/:id", async (c) => {
  const { userId } = await authenticate(c);
  const record = await findGeneration(userId, c.req.param("id"), Date.now(), c.env);
  if (!record) throw notFound();
  c.set("generationId", record.id);
  if (record.endedAt === null) c.header("Retry-After", pollAfterSeconds(record, Date.now()));
  return c.json(renderGeneration(record, readConfig(c.env)));
});
