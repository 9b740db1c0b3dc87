import type { CallToolResult, ContentBlock } from "@modelcontextprotocol/server";
import { imageUrl, renderGeneration } from "../account/render.ts";
import type { GenerationRecord } from "../account/views.ts";
import type { Config } from "../config.ts";
import { describe, log } from "../log.ts";

/** The results of tools: the API's object as structured content and, for clients that ignore it, as text. */

/** A larger picture comes as a link only. It is held in memory, because a result is one JSON text. */
export const INLINE_BYTES_MAX = 1024 * 1024;

export function jsonResult(object: Record<string, unknown>): CallToolResult {
  return { content: [textBlock(JSON.stringify(object))], structuredContent: object };
}

/** A generation, with a link to each of its pictures, and the pictures themselves where they are small enough. */
export async function generationResult(
  record: GenerationRecord,
  env: Pick<Env, "IMAGES">,
  config: Config,
): Promise<CallToolResult> {
  const { content, ...result } = jsonResult(renderGeneration(record, config));
  const blocks: ContentBlock[] = [textBlock(summaryOf(record)), ...content];
  for (const image of record.images) {
    const { id, key, contentType, width, height, bytes } = image;
    blocks.push({
      type: "resource_link",
      uri: imageUrl(record, key, config),
      name: id,
      description: `${width}x${height}, ${bytes} bytes. Needs no API key.`,
      mimeType: contentType,
    });
    const data = bytes > INLINE_BYTES_MAX ? null : await readBase64(env.IMAGES, key);
    if (data !== null) blocks.push({ type: "image", data, mimeType: contentType });
  }
  return { ...result, content: blocks };
}

/** The state of a generation in words, with what to do next. */
function summaryOf({ id, status, images, creditsCharged, creditsRefunded }: GenerationRecord): string {
  switch (status) {
    case "queued":
    case "processing":
      return `Not finished: the generation ${id} is ${status}. Call get_generation with this id and wait_seconds 50. Do not call generate_image again for it.`;
    case "succeeded": {
      const count = images.length === 1 ? "1 picture" : `${images.length} pictures`;
      return `${count} for ${creditsCharged - creditsRefunded} credits. Show the user the URL of each one.`;
    }
    case "failed":
      return `The generation ${id} failed. It was refunded.`;
    case "canceled":
      return `The generation ${id} was canceled. It was refunded.`;
  }
}

/** A stored picture in base64. Null if it cannot be read: its link remains valid. */
async function readBase64(bucket: R2Bucket, key: string): Promise<string | null> {
  try {
    const object = await bucket.get(key);
    return object === null ? null : Buffer.from(await object.arrayBuffer()).toString("base64");
  } catch (error) {
    log("mcp_image_failed", { key, error: describe(error) });
    return null;
  }
}

function textBlock(text: string): ContentBlock {
  return { type: "text", text };
}
