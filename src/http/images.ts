import { Hono } from "hono";
import { serveImage } from "../images/serve.ts";
import type { AppEnv } from "./env.ts";
import { notFound } from "./errors.ts";

export const images = new Hono<AppEnv>();

images.get("/:generation/:file", async (c) => {
  const key = `${c.req.param("generation")}/${c.req.param("file")}`;
  const response = await serveImage(c.env.IMAGES, key, c.req.raw);
  if (!response) throw notFound();
  return response;
});
