import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import * as z from "zod";

export type Reference = { mimeType: string; bytes: number; sha256: string };

export type Accepted = {
  prompt: string;
  aspectRatio: string | null;
  imageSize: string;
  references: Reference[];
};

/** A refused request: the message of an `INVALID_ARGUMENT`. */
export type Invalid = { invalid: string };

const REQUEST_BYTES_MAX = 100 * 1024 * 1024;
const REFERENCES_MAX = 14;

const Part = z.union([
  z.strictObject({ text: z.string().min(1) }),
  z.strictObject({ inlineData: z.strictObject({ mimeType: z.string(), data: z.base64() }) }),
]);
const Body = z.strictObject({
  contents: z.tuple([z.strictObject({ role: z.literal("user"), parts: z.array(Part).min(1) })]),
  generationConfig: z.strictObject({
    responseModalities: z.array(z.enum(["TEXT", "IMAGE"])),
    imageConfig: z.strictObject({
      aspectRatio: z.string().optional(),
      imageSize: z.enum(["1K", "2K", "4K"]).default("1K"),
    }),
  }),
});

/** Reads a request of `generateContent` as strictly as the API does. References are hashed. */
export async function readRequest(request: IncomingMessage): Promise<Accepted | Invalid> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes <= REQUEST_BYTES_MAX) pieces.push(piece);
  }
  if (bytes > REQUEST_BYTES_MAX) return { invalid: "Request payload size exceeds the limit." };
  const parsed = Body.safeParse(jsonOf(Buffer.concat(pieces).toString()));
  if (!parsed.success) return { invalid: "Invalid JSON payload received." };
  const [{ parts }] = parsed.data.contents;
  const { aspectRatio = null, imageSize } = parsed.data.generationConfig.imageConfig;
  const references: Reference[] = [];
  for (const part of parts) {
    if ("text" in part) continue;
    const { mimeType, data } = part.inlineData;
    const content = Buffer.from(data, "base64");
    if (typeOf(content) !== mimeType) return { invalid: "Provided image is not valid." };
    references.push({
      mimeType,
      bytes: content.length,
      sha256: createHash("sha256").update(content).digest("hex"),
    });
  }
  if (references.length > REFERENCES_MAX) return { invalid: "Too many images." };
  const prompt = parts.map((part) => ("text" in part ? part.text : "")).join("");
  return { prompt, aspectRatio, imageSize, references };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function typeOf(content: Buffer): string | null {
  const start = content.toString("latin1", 0, 12);
  if (start.startsWith("\x89PNG")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  return start.startsWith("RIFF") && start.endsWith("WEBP") ? "image/webp" : null;
}

/** Width and height at 1K. Each further tier doubles them. */
const SIZES: Record<string, readonly [number, number]> = {
  "1:1": [1024, 1024],
  "2:3": [848, 1264],
  "3:2": [1264, 848],
  "3:4": [896, 1200],
  "4:3": [1200, 896],
  "4:5": [928, 1152],
  "5:4": [1152, 928],
  "9:16": [768, 1376],
  "16:9": [1376, 768],
  "21:9": [1584, 672],
  "1:4": [512, 2048],
  "4:1": [2048, 512],
  "1:8": [384, 3072],
  "8:1": [3072, 384],
};

/** The pixels of a picture; null for an unknown ratio. Without a ratio, the model picks an odd one. */
export function pixelsFor({ aspectRatio, imageSize }: Accepted): { width: number; height: number } | null {
  const [width, height] = aspectRatio === null ? [1408, 768] : (SIZES[aspectRatio] ?? [0, 0]);
  const scale = { "1K": 1, "2K": 2, "4K": 4 }[imageSize] ?? 1;
  return width === 0 ? null : { width: width * scale, height: height * scale };
}
