import { Hono } from "hono";
import { findModel, models } from "../../catalogue/models.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";

export const modelRoutes = new Hono<AppEnv>();

modelRoutes.get("/models", (c) => c.json({ object: "list", data: models }));

modelRoutes.get("/models/:id", (c) => {
  const model = findModel(c.req.param("id"));
  if (!model) throw notFound();
  return c.json(model);
});
