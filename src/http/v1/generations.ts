import { Hono } from "hono";
import { readConfig } from "../../config.ts";
import {
  findByIdempotencyKey,
  listGenerations,
  loggedGenerationsQuery,
  readGeneration,
} from "../../generations/read.ts";
import { isGenerationId } from "../../id.ts";
import { lookUpKeyAnd, lookUpKeyAndGeneration } from "../../keys/lookup.ts";
import { authenticate, authenticateAnd } from "../authenticate.ts";
import { readQuery } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { pollAfterSeconds, renderGeneration } from "./render.ts";
import { GenerationsQuery } from "./schemas.ts";

export const generations = new Hono<AppEnv>();

generations.get("/generations", async (c) => {
  const { idempotency_key: key, limit, cursor, ...filter } = readQuery(c, GenerationsQuery);
  const config = readConfig(c.env);
  if (key !== undefined) {
    const caller = await authenticate(c);
    const record = await findByIdempotencyKey(key, filter, caller.userId, c.env);
    const data = record ? [renderGeneration(record, config)] : [];
    return c.json({ object: "list", data, has_more: false, next_cursor: null });
  }
  const { caller, found } = await authenticateAnd(c, (hash, now) =>
    lookUpKeyAnd(c.env.DB, hash, now, (db) => loggedGenerationsQuery(db, hash, filter, cursor, limit)),
  );
  const page = await listGenerations(found, caller.userId, filter, cursor, limit, c.env);
  return c.json({
    object: "list",
    data: page.records.map((record) => renderGeneration(record, config)),
    has_more: page.hasMore,
    next_cursor: page.hasMore ? (page.records.at(-1)?.id ?? null) : null,
  });
});

generations.get("/generations/:id", async (c) => {
  const id = c.req.param("id");
  const { caller, found } = await authenticateAnd(c, (hash, now) =>
    lookUpKeyAndGeneration(c.env.DB, hash, now, id),
  );
  const record = isGenerationId(id) ? await readGeneration(found, caller.userId, id, c.env) : null;
  if (!record) throw notFound();
  c.set("generationId", record.id);
  if (record.endedAt === null) c.header("Retry-After", pollAfterSeconds(record, Date.now()));
  return c.json(renderGeneration(record, readConfig(c.env)));
});
