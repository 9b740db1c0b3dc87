import { Hono } from "hono";
import { findModel, models } from "../../catalogue/models.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";

export const modelRoutes = new Hono<AppEnv>();

/** The same for everybody and at all times. */
const LIST = JSON.stringify({ object: "list", data: models });

modelRoutes.get("/models", () => new Response(LIST, { headers: { "Content-Type": "application/json" } }));

modelRoutes.get("/models/:id", (c) => {
  const model = findModel(c.req.param("id"));
  if (!model) throw notFound();
  return c.json(model);
});
