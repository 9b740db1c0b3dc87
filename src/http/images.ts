import { Hono } from "hono";
import { parseImageKey } from "../images/keys.ts";
import { makeRendition } from "../images/rendition.ts";
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
    description:
      "Supports HEAD, Range, If-None-Match and If-Modified-Since. With `.640.webp` or `.1280.webp` after the name of the file, the image as a WebP whose longer edge has at most that many pixels; where the service cannot make one, a redirect to the whole image.",
    tag: "images",
    security: null,
    answers: {
      200: { description: "The image.", schema: null, mediaType: "image/*" },
      302: { description: "The service cannot make the smaller image.", schema: null },
      206: { description: "The requested range of the image.", schema: null, mediaType: "image/*" },
      304: { description: "The image has not changed.", schema: null },
      416: { description: "The image has no such range.", schema: null },
    },
  }),
  async (c) => {
    const key = `${c.req.param("generation")}/${c.req.param("file")}`;
    const response =
      (await serveImage(c.env.IMAGES, key, c.req.raw)) ?? (await serveNewRendition(key, c.env, c.req.raw));
    if (!response) throw notFound();
    return response;
  },
);

/** Creates the rendition of the key, or redirects to the whole image. Null: there is no such image. */
async function serveNewRendition(key: string, env: Env, request: Request): Promise<Response | null> {
  switch (await makeRendition(env.IMAGES, env.TRANSFORM, key)) {
    case "made":
      return await serveImage(env.IMAGES, key, request);
    case "unavailable":
      return new Response(null, {
        status: 302,
        headers: { Location: `/images/${parseImageKey(key)?.imageKey}` },
      });
    case "unknown":
      return null;
  }
}
