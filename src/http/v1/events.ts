import { Hono } from "hono";
import { renderGeneration } from "../../account/render.ts";
import { readConfig } from "../../config.ts";
import { findGeneration } from "../../generations/read.ts";
import { callerOf } from "../authenticate.ts";
import { contract } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { EVENT_STREAM_HEADERS, generationEvents } from "../events.ts";
import { Generation, SUCCEEDED_EXAMPLE } from "./generations.ts";

export const events = new Hono<AppEnv>();

events.get(
  "/generations/:id/events",
  contract({
    id: "streamGeneration",
    summary: "Follow a generation",
    description:
      "Server-sent events. Each `generation` event has the whole generation: one at once, one at each change of its status, the last one when it ends. A stream that is opened again, with or without `Last-Event-ID`, begins with the current state.",
    tag: "generations",
    security: "apiKey",
    answers: {
      200: {
        description: "The events. The stream ends with the generation.",
        schema: null,
        event: { schema: Generation, example: SUCCEEDED_EXAMPLE },
      },
    },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const found = await findGeneration(userId, c.req.param("id"), livemode, Date.now(), c.env);
    if (!found) throw notFound();
    c.set("generationId", found.id);
    const config = readConfig(c.env);
    const stream = generationEvents(found, userId, c.env, (record) => renderGeneration(record, config));
    return c.body(stream, 200, EVENT_STREAM_HEADERS);
  },
);
