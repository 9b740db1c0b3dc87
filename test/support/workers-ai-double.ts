import * as z from "zod";
import { ImageScanner } from "../../src/images/format.ts";
import type { AIBinding, RunOptions } from "../../src/providers/workers-ai/index.ts";
import { directionsIn } from "./openai-double/faults.ts";
import { base64, drawImage, type ImageSpec } from "./openai-double/images.ts";

/**
 * A stand-in for the `AI` binding and the image models that are used of it. A prompt chooses a fault and the bytes of an
 * image (`directionsIn`). Runs in workerd, in the test itself.
 */
export type WorkersAIDouble = AIBinding & {
  readonly calls: Call[];
  /** Returns the picture at a URL of an answer, for a mock of `fetch`. */
  picture(url: string): Response;
  /** How many pieces of answers have been read. */
  pieces: number;
};

type Call = {
  model: string;
  /** The input, with references as their type and length. */
  input: Record<string, unknown>;
  options: RunOptions;
  fault: string | null;
};

type Refusal = { status: number; body: object | string };

const FREE_TEXT = "Free text of the upstream about the prompt.";
const FLAGGED =
  "AiError: Your output has been flagged. Please choose another prompt / input image combination";

/** Refusals by the name under which a prompt asks for them. Cloudflare's own errors, then those of AI Gateway. */
const REFUSALS: Record<string, Refusal> = {
  flagged: ofPlatform(400, 3030, FLAGGED),
  "flagged-in-200": ofGateway(200, 3030, FLAGGED),
  "bad-input": ofPlatform(400, 3030),
  incomplete: ofPlatform(400, 3003),
  "no-model": ofPlatform(400, 5007),
  "too-large": ofPlatform(413, 3006),
  timeout: ofPlatform(408, 3007),
  aborted: ofPlatform(408, 3008),
  blocked: ofPlatform(403, 3023),
  terms: ofPlatform(403, 5016),
  "model-id": ofPlatform(404, 3042),
  "daily-limit": ofPlatform(429, 3036),
  capacity: ofPlatform(429, 3040),
  "gateway-400": ofGateway(400, 2001),
  "gateway-401": ofGateway(401, 10000),
  "gateway-402": ofGateway(402, 2021),
  "gateway-429": ofGateway(429, 2003),
  "gateway-500": ofGateway(500, 2002),
  "gateway-504": ofGateway(504, 2002),
  "spend-limit": ofGateway(429, 2022, "Spend limit exceeded for this gateway."),
  "moderation-blocked": ofGateway(400, 2001, '{"error":{"code":"moderation_blocked"}}'),
  "content-policy": {
    status: 400,
    body: { error: { code: "content_policy_violation", message: FREE_TEXT } },
  },
  "502-html": { status: 502, body: "<html><h1>502 Bad Gateway</h1></html>" },
  "400-html": { status: 400, body: "<html><h1>400 Bad Request</h1></html>" },
  "html-in-200": { status: 200, body: "<html><h1>Sign in</h1></html>" },
  "no-image": { status: 200, body: { result: {}, success: true, errors: [], messages: [] } },
  "state-failed": { status: 200, body: { state: "Failed", gatewayMetadata: { keySource: "Unified" } } },
};

/** Other faults, and how the answer treats them. */
const OTHER_FAULTS = [
  ["throw", "stall-headers", "truncated", "stall-body", "reset-body", "bad-base64", "empty-image"],
  ["raw-image", "url-gone", "url-http"],
].flat();

const ratio = z.enum(["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"]);
const tier = z.enum(["1K", "2K", "4K"]);
const prompt = z.string().min(1);
const images = (max: number) => z.array(z.string().startsWith("data:image/")).min(1).max(max).optional();
const edge = z.coerce.number().int().min(256).max(1920);

/** The inputs, as strict as the published schemas. */
const INPUTS: Record<string, z.ZodType<Record<string, unknown>>> = {
  "@cf/black-forest-labs/flux-1-schnell": z.strictObject({
    prompt: prompt.max(2048),
    steps: z.int().min(1).max(8).optional(),
  }),
  "@cf/black-forest-labs/flux-2-klein-4b": z.strictObject({ prompt, width: edge, height: edge }),
  "openai/gpt-image-2": z.strictObject({
    prompt,
    images: images(16),
    quality: z.enum(["low", "medium", "high", "auto"]).optional(),
    size: z.enum(["1024x1024", "1024x1536", "1536x1024", "auto"]).optional(),
    background: z.enum(["opaque", "auto"]).optional(),
    output_format: z.enum(["png", "webp", "jpeg"]).optional(),
  }),
  "google/nano-banana-2": z.strictObject({
    prompt,
    image_input: images(3),
    aspect_ratio: ratio.optional(),
    resolution: tier.optional(),
  }),
  "google/nano-banana-pro": z.strictObject({
    prompt,
    image_input: images(3),
    aspect_ratio: ratio.optional(),
    image_size: tier.optional(),
  }),
  "black-forest-labs/flux-2-pro-preview": z.strictObject({
    prompt,
    input_images: images(8),
    width: z.int().min(64).optional(),
    height: z.int().min(64).optional(),
    output_format: z.enum(["jpeg", "png", "webp"]).optional(),
  }),
};

/** @param options.urls whether third-party models return an `https:` URL in place of a data URL */
export function workersAIDouble({ imageBytes = 20_000, urls = false } = {}): WorkersAIDouble {
  const faultsLeft = new Map<string, number>();
  const double: WorkersAIDouble = {
    calls: [],
    pieces: 0,
    async run(model, input, options) {
      options.signal.throwIfAborted();
      const isThirdParty = !model.startsWith("@cf/");
      const accepted = await accept(model, input, options);
      const text = String(accepted["prompt"] ?? "");
      const { fault: asked, times, imageBytes: bytes } = directionsIn(text);
      const left = faultsLeft.get(text) ?? times;
      faultsLeft.set(text, left - 1);
      const fault = left > 0 ? asked : null;
      double.calls.push({ model, input: accepted, options, fault });
      if (fault === "throw") throw new Error("AiInternalError");
      if (fault === "stall-headers") await aborted(options.signal);
      const refusal = REFUSALS[fault ?? ""];
      if (refusal !== undefined) return responseOf(refusal);
      if (fault !== null && !OTHER_FAULTS.includes(fault)) throw new Error(`No such fault: ${fault}`);
      const spec = { ...pixelsOf(accepted), bytes: bytes ?? imageBytes, seed: double.calls.length * 101 };
      if (isThirdParty && (urls || fault?.startsWith("url-"))) return urlAnswer(spec, fault);
      return streamed(answer(spec, fault, isThirdParty), fault, options.signal, double);
    },
    picture(url) {
      const asked = new URL(url).searchParams;
      if (asked.has("gone")) return new Response("gone", { status: 410 });
      const spec = SpecOfUrl.parse(Object.fromEntries(asked));
      return new Response(Buffer.concat([...drawImage(spec)]));
    },
  };
  return double;
}

const SpecOfUrl = z.object({
  format: z.enum(["png", "jpeg", "webp"]),
  width: z.coerce.number(),
  height: z.coerce.number(),
  bytes: z.coerce.number(),
  seed: z.coerce.number(),
});

/** The input as it is recorded. @throws as the binding does for an input that it cannot send */
async function accept(
  model: string,
  input: Record<string, unknown>,
  { gateway }: RunOptions,
): Promise<Record<string, unknown>> {
  const schema = INPUTS[model];
  if (schema === undefined) throw new Error(`No such model: ${model}`);
  const { multipart } = Multipart.safeParse(input).data ?? { multipart: null };
  if ((gateway === undefined) !== model.startsWith("@cf/")) throw new Error("Wrong route to the model.");
  if (multipart === null) return shortened(schema.parse(input));
  if (gateway !== undefined) throw new Error("AI Gateway does not support ReadableStreams yet.");
  const headers = { "content-type": multipart.contentType };
  const form = await new Response(multipart.body, { headers }).formData();
  const fields: Record<string, unknown> = {};
  const files: Record<string, unknown> = {};
  for (const [name, value] of form) {
    if (typeof value === "string") fields[name] = value;
    else files[name] = await fileOf(value);
  }
  return { ...schema.parse(fields), ...files };
}

const Multipart = z.strictObject({
  multipart: z.strictObject({
    body: z.custom<ReadableStream<Uint8Array>>((value) => value instanceof ReadableStream),
    contentType: z.string(),
  }),
});

async function fileOf(file: File) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const scanner = new ImageScanner();
  scanner.write(bytes);
  const { width, height } = scanner.header ?? { width: 512, height: 512 };
  if (Math.max(width, height) >= 512) throw new Error("An input image has too many pixels.");
  return { type: file.type, bytes: bytes.length };
}

/** Data URLs as their type and length in bytes. */
function shortened(input: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(input).map(([name, value]) => {
    if (!Array.isArray(value)) return [name, value];
    const files = value.map((url) => {
      const [, type, text = ""] = /^data:([a-z/]+);base64,(.*)$/.exec(String(url)) ?? [];
      return { type, bytes: Buffer.from(text, "base64").length };
    });
    return [name, files];
  });
  return Object.fromEntries(entries);
}

function pixelsOf(input: Record<string, unknown>): Pick<ImageSpec, "format" | "width" | "height"> {
  const [width, height] = String(input["size"] ?? "auto")
    .split("x")
    .map(Number);
  const formats = { png: "png", webp: "webp" } as const;
  const format = formats[input["output_format"] === "png" ? "png" : "webp"];
  return {
    format: input["output_format"] === undefined || input["output_format"] === "jpeg" ? "jpeg" : format,
    width: Number(input["width"] ?? (width || 1024)),
    height: Number(input["height"] ?? height ?? 1024),
  };
}

function urlAnswer(spec: ImageSpec, fault: string | null): Response {
  const asked = { ...spec, ...(fault === "url-gone" && { gone: 1 }) };
  const query = new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)]));
  const image = `${fault === "url-http" ? "http" : "https"}://pictures.test/x?${query}`;
  return responseOf({ status: 200, body: completed(image) });
}

function completed(image: string) {
  return { gatewayMetadata: { keySource: "Unified" }, result: { image }, state: "Completed" };
}

/** The bytes of an answer; returns whether it breaks off or stalls. */
function* answer(
  spec: ImageSpec,
  fault: string | null,
  isThirdParty: boolean,
): Generator<Buffer, "whole" | "reset" | "stall"> {
  if (fault === "raw-image") {
    yield* drawImage(spec);
    return "whole";
  }
  const [start = "", end = ""] = JSON.stringify(
    isThirdParty ? completed(`data:image/${spec.format};base64,#`) : { image: "#" },
  ).split("#");
  yield Buffer.from(start);
  let sent = 0;
  for (const piece of fault === "empty-image" ? [] : base64(drawImage(spec))) {
    yield piece;
    sent += piece.length;
    if (sent * 2 <= spec.bytes) continue;
    if (fault === "truncated") return "whole";
    if (fault === "reset-body") return "reset";
    if (fault === "stall-body") return "stall";
  }
  yield Buffer.from(fault === "bad-base64" ? `@@@@${end}` : end);
  return "whole";
}

/** A response whose pieces are written as they are read. */
function streamed(
  pieces: Generator<Buffer, "whole" | "reset" | "stall">,
  fault: string | null,
  signal: AbortSignal,
  double: { pieces: number },
): Response {
  const { readable, writable } = new IdentityTransformStream();
  const write = async () => {
    const writer = writable.getWriter();
    let step = pieces.next();
    for (; !step.done; step = pieces.next()) {
      await writer.write(step.value);
      double.pieces++;
    }
    if (step.value === "stall") await aborted(signal);
    if (step.value === "whole") await writer.close();
    else await writer.abort(new Error("The connection broke."));
  };
  write().catch(() => null);
  const type = fault === "raw-image" ? "image/jpeg" : "application/json";
  return new Response(readable, { headers: { "content-type": type, "cf-ai-req-id": "req-1234" } });
}

function responseOf({ status, body }: Refusal): Response {
  const headers = { "cf-ai-req-id": "req-1234" };
  if (typeof body === "string") {
    return new Response(body, { status, headers: { ...headers, "content-type": "text/html" } });
  }
  return Response.json(body, { status, headers });
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")));
  });
}

function ofPlatform(status: number, internalCode: number, description = FREE_TEXT): Refusal {
  return { status, body: { internalCode, message: description, name: "AiError", description } };
}

function ofGateway(status: number, code: number, message = FREE_TEXT): Refusal {
  return { status, body: { success: false, result: {}, messages: [], errors: [{ code, message }] } };
}
