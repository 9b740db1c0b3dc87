import { Hono } from "hono";
import { serveImage } from "../images/serve.ts";
import { contract } from "./contract.ts";
import type { AppEnv } from "./env.ts";
import { notFound } from "./errors.ts";

export const images = new Hono<AppEnv>();

images.get(
  "/:generation/:file",
  contract({
    id: "getImage",
    summary: "Download an image",
    description: "Supports HEAD, Range, If-None-Match and If-Modified-Since.",
    tag: "images",
    security: null,
    answers: {
      200: { description: "The image.", schema: null, mediaType: "image/*" },
      206: { description: "The requested range of the image.", schema: null, mediaType: "image/*" },
      304: { description: "The image has not changed.", schema: null },
      416: { description: "The image has no such range.", schema: null },
    },
  }),
  async (c) => {
    const key = `${c.req.param("generation")}/${c.req.param("file")}`;
    const response = await serveImage(c.env.IMAGES, key, c.req.raw);
    if (!response) throw notFound();
    return response;
  },
);
