import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import busboy from "busboy";

/** An error of the documented shape, before it is sent. */
export type Refusal = {
  status: number;
  message: string;
  type: string;
  param: string | null;
  code: string | null;
};

export type Upload = { field: string; filename: string; contentType: string; bytes: number; sha256: string };
export type ParsedRequest = { fields: Record<string, unknown>; uploads: Upload[]; refusal: Refusal | null };

export type Accepted = {
  prompt: string;
  n: number;
  width: number;
  height: number;
  quality: string;
  format: "png" | "jpeg" | "webp";
  background: string;
  safetyIdentifier: string | null;
  /** Left out without `stream: true`. `partials`: how many partial pictures of each image. */
  stream?: { operation: "image_generation" | "image_edit"; partials: number };
};

const JSON_BYTES_MAX = 1 << 20;
const FILE_BYTES_MAX = 50 * 1024 * 1024;
const FILES_MAX = 16;
const PARAMETERS = [
  ["model", "prompt", "n", "size", "quality", "background", "moderation"],
  ["output_format", "output_compression", "safety_identifier", "user", "stream", "partial_images"],
].flat();

/** Reads a request of either form, holding no file: files are counted and hashed as they pass. */
export async function parseRequest(request: IncomingMessage): Promise<ParsedRequest> {
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("multipart/form-data")) return parseForm(request);
  if (!type.startsWith("application/json")) {
    request.resume();
    return {
      fields: {},
      uploads: [],
      refusal: invalid(`Unsupported content type: '${type}'.`, null, "unsupported_content_type"),
    };
  }
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes <= JSON_BYTES_MAX) pieces.push(piece);
  }
  try {
    const fields: unknown = JSON.parse(Buffer.concat(pieces).toString());
    if (typeof fields === "object" && fields !== null && !Array.isArray(fields)) {
      return { fields: { ...fields }, uploads: [], refusal: null };
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return {
    fields: {},
    uploads: [],
    refusal: invalid("We could not parse the JSON body of your request.", null, null),
  };
}

async function parseForm(request: IncomingMessage): Promise<ParsedRequest> {
  const parsed: ParsedRequest = { fields: {}, uploads: [], refusal: null };
  const parser = busboy({ headers: request.headers });
  parser.on("field", (name, value) => {
    const isNumber = /^(n|output_compression|partial_images)$/.test(name) && /^\d+$/.test(value);
    parsed.fields[name] = isNumber ? Number(value) : name === "stream" ? value === "true" : value;
  });
  parser.on("file", (field, stream, { filename, mimeType }) => {
    const upload = { field, filename: filename ?? "", contentType: mimeType, bytes: 0, sha256: "" };
    parsed.uploads.push(upload);
    const hash = createHash("sha256");
    stream.on("data", (piece: Buffer) => {
      if (upload.bytes === 0 && !looksLikeImage(piece)) {
        parsed.refusal ??= invalid(
          `Invalid file '${field}': unsupported image.`,
          "image",
          "invalid_image_file",
        );
      }
      upload.bytes += piece.length;
      hash.update(piece);
    });
    stream.on("end", () => {
      upload.sha256 = hash.digest("hex");
    });
  });
  try {
    await new Promise((resolve, reject) => {
      parser.on("close", resolve);
      parser.on("error", reject);
      request.on("error", reject);
      request.pipe(parser);
    });
  } catch {
    parsed.refusal = invalid("Could not parse multipart form.", null, null);
  }
  return parsed;
}

function looksLikeImage(start: Buffer): boolean {
  const text = start.subarray(0, 12).toString("latin1");
  return (
    text.startsWith("\x89PNG") ||
    text.startsWith("\xff\xd8\xff") ||
    (text.startsWith("RIFF") && text.endsWith("WEBP"))
  );
}

/** Checks a parsed request as strictly as upstream does, and returns what is to be drawn or the refusal. */
export function validate(parsed: ParsedRequest, edits: boolean): Accepted | Refusal {
  if (parsed.refusal !== null) return parsed.refusal;
  const { fields, uploads } = parsed;
  const unknown = Object.keys(fields).find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) return invalid(`Unknown parameter: '${unknown}'.`, unknown, "unknown_parameter");
  return checkModel(fields) ?? checkUploads(uploads, edits) ?? checkValues(fields) ?? accept(fields, edits);
}

function checkModel({ model }: Record<string, unknown>): Refusal | null {
  if (typeof model === "string" && /^gpt-image-2(-2026-04-21)?$/.test(model)) return null;
  const message = `The model '${String(model)}' does not exist or you do not have access to it.`;
  return { status: 404, message, type: "invalid_request_error", param: null, code: "model_not_found" };
}

function checkUploads(uploads: readonly Upload[], edits: boolean): Refusal | null {
  if (!edits) return null;
  if (uploads.length === 0)
    return invalid("Missing required parameter: 'image'.", "image", "missing_required_parameter");
  const stray = uploads.find(({ field }) => field !== "image" && field !== "image[]" && field !== "mask");
  if (stray !== undefined)
    return invalid(`Unknown parameter: '${stray.field}'.`, stray.field, "unknown_parameter");
  if (uploads.length > FILES_MAX) return invalid("Too many images.", "image", "invalid_value");
  const large = uploads.find(({ bytes }) => bytes >= FILE_BYTES_MAX);
  if (large !== undefined) return invalid("Invalid image: too large.", "image", "invalid_image_file");
  const wrong = uploads.find(({ filename, contentType }) => {
    const extension = /\.(png|jpg|jpeg|webp)$/.exec(filename)?.[1]?.replace("jpg", "jpeg");
    return contentType !== `image/${extension}`;
  });
  return wrong === undefined
    ? null
    : invalid(`Unsupported mimetype ('${wrong.contentType}').`, "image", "unsupported_file_mimetype");
}

function checkValues(fields: Record<string, unknown>): Refusal | null {
  const { prompt, n = 1, output_compression: compression, output_format: format = "png" } = fields;
  if (typeof prompt !== "string")
    return invalid("Missing required parameter: 'prompt'.", "prompt", "missing_required_parameter");
  if (prompt === "" || [...prompt].length > 32_000)
    return invalid("Invalid 'prompt': wrong length.", "prompt", "invalid_value");
  if (!within(n, 1, 10)) return invalid("Invalid 'n': expected 1 to 10.", "n", "integer_out_of_range");
  const lists: Record<string, string[]> = {
    quality: ["auto", "low", "medium", "high"],
    background: ["auto", "opaque"],
    moderation: ["auto", "low"],
    output_format: ["png", "jpeg", "webp"],
  };
  for (const [name, values] of Object.entries(lists)) {
    const value = fields[name] ?? "auto";
    if (!values.includes(String(value)) && !(name === "output_format" && value === "auto")) {
      return invalid(`Invalid value: '${String(value)}'.`, name, "invalid_value");
    }
  }
  if (compression !== undefined && (format === "png" || !within(compression, 0, 100))) {
    return invalid("Invalid 'output_compression'.", "output_compression", "invalid_value");
  }
  const { stream = false, partial_images: partials = 0 } = fields;
  if (typeof stream !== "boolean") return invalid("Invalid 'stream'.", "stream", "invalid_type");
  if (!within(partials, 0, 3))
    return invalid("Invalid 'partial_images'.", "partial_images", "integer_out_of_range");
  return checkSize(fields["size"]) ?? checkIdentifier(fields["safety_identifier"]);
}

function within(value: unknown, low: number, high: number): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= low && value <= high;
}

function checkSize(size: unknown): Refusal | null {
  if (size === undefined || size === "auto") return null;
  const [, width, height] = /^([1-9]\d{2,3})x([1-9]\d{2,3})$/.exec(String(size)) ?? [];
  const [a, b] = [Number(width), Number(height)];
  const fits =
    a % 16 === 0 &&
    b % 16 === 0 &&
    Math.max(a, b) <= 3840 &&
    Math.max(a, b) <= 3 * Math.min(a, b) &&
    a * b >= 655_360 &&
    a * b <= 8_294_400;
  return fits
    ? null
    : {
        ...invalid(`Invalid size '${String(size)}'.`, "size", "invalid_value"),
        type: "image_generation_user_error",
      };
}

function checkIdentifier(value: unknown): Refusal | null {
  if (value === undefined || (typeof value === "string" && value.length <= 128)) return null;
  return invalid("Invalid 'safety_identifier'.", "safety_identifier", "string_above_max_length");
}

function accept(fields: Record<string, unknown>, isEdit: boolean): Accepted {
  const [width = 1024, height = 1024] =
    fields["size"] === "auto"
      ? []
      : String(fields["size"] ?? "1024x1024")
          .split("x")
          .map(Number);
  const format = fields["output_format"];
  const identifier = fields["safety_identifier"] ?? fields["user"];
  return {
    prompt: String(fields["prompt"]),
    n: Number(fields["n"] ?? 1),
    width,
    height,
    quality: String(fields["quality"] ?? "auto").replace("auto", "medium"),
    format: format === "jpeg" || format === "webp" ? format : "png",
    background: "opaque",
    safetyIdentifier: identifier === undefined ? null : String(identifier),
    ...(fields["stream"] === true && {
      stream: {
        operation: isEdit ? "image_edit" : "image_generation",
        partials: Number(fields["partial_images"] ?? 0),
      },
    }),
  };
}

export function invalid(message: string, param: string | null, code: string | null): Refusal {
  return { status: 400, message, type: "invalid_request_error", param, code };
}
