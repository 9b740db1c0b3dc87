import type { Context } from "hono";
import type * as z from "zod";
import { TimeoutError, within } from "../time.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, invalidRequest } from "./errors.ts";

export const JSON_BYTES_MAX = 1024 * 1024;
/** A body that stops arriving for this long is given up. */
const STALL_MS_MAX = 30_000;

/**
 * The request's JSON body, as the schema has it.
 * @throws {ApiError} 400 naming the field, 413 over 1 MiB, 415 for another media type
 */
export async function readJson<T>(c: Context<AppEnv>, schema: z.ZodType<T>): Promise<T> {
  if (mediaType(c.req.raw) !== "application/json") throw unsupportedMediaType("application/json");
  const text = await readText(c.req.raw);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalidRequest("The body is not valid JSON.");
  }
  return parse(schema, value);
}

/** @throws {ApiError} 400 that names the first field that breaks a rule, and the rule */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  const { issues } = result.error;
  // A mistyped field is often also a missing one: the name that the caller wrote is what helps.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (!issue) throw invalidRequest("The body is not valid.");
  const { param, message } = explain(issue);
  throw invalidRequest(message, param);
}

/** The media type of the body, in lower case, without its parameters. */
export function mediaType(request: Request): string {
  const [type = ""] = (request.headers.get("Content-Type") ?? "").split(";");
  return type.trim().toLowerCase();
}

export function unsupportedMediaType(accepted: string): ApiError {
  return new ApiError("unsupportedMediaType", `The body must be ${accepted}.`);
}

/** Reads at most 1 MiB of UTF-8, giving up as soon as it is more. */
async function readText(request: Request): Promise<string> {
  if (request.headers.has("Content-Encoding")) {
    throw new ApiError("unsupportedMediaType", "The body must not be compressed.");
  }
  const reader = request.body?.getReader();
  if (!reader) throw invalidRequest("The body is empty.");
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let text = "";
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await within(STALL_MS_MAX, reader.read());
      if (done) return text + decoder.decode();
      bytes += value.length;
      if (bytes > JSON_BYTES_MAX) {
        throw new ApiError("payloadTooLarge", `The body is larger than ${JSON_BYTES_MAX} bytes.`);
      }
      text += decoder.decode(value, { stream: true });
    }
  } catch (error) {
    await reader.cancel().catch(() => null);
    if (error instanceof ApiError) throw error;
    if (error instanceof TimeoutError) throw invalidRequest("The body stopped arriving.");
    throw invalidRequest("The body could not be read to its end as UTF-8 text.");
  }
}

const FIELD_NAME_SHOWN_MAX = 100;

/** Words for people, from the issue that zod found. */
function explain(issue: z.core.$ZodIssue): { param: string | null; message: string } {
  const param = issue.path.length === 0 ? null : issue.path.join(".").slice(0, FIELD_NAME_SHOWN_MAX);
  const name = param ?? "The body";
  switch (issue.code) {
    case "unrecognized_keys": {
      const field = (issue.keys[0] ?? "").slice(0, FIELD_NAME_SHOWN_MAX);
      return { param: field, message: `${field} is not a field of this request.` };
    }
    case "invalid_type":
      if (issue.input === undefined) return { param, message: `${name} is required.` };
      return { param, message: `${name} must be ${article(issue.expected)}.` };
    case "invalid_value":
      return { param, message: `${name} must be one of ${issue.values.map(String).join(", ")}.` };
    case "too_big":
      return { param, message: `${name} must be at most ${issue.maximum}${unit(issue.origin)}.` };
    case "too_small":
      return { param, message: `${name} must be at least ${issue.minimum}${unit(issue.origin)}.` };
    case "custom":
      return { param, message: issue.message };
    case "invalid_format":
      // A pattern of our own comes with words of our own.
      if (issue.format === "regex") return { param, message: issue.message };
      return { param, message: `${name} must be ${FORMATS[issue.format] ?? "in its documented form"}.` };
    case "not_multiple_of":
    case "invalid_union":
    case "invalid_key":
    case "invalid_element":
      return { param, message: `${name} is not valid.` };
  }
}

const FORMATS: Readonly<Record<string, string>> = {
  email: "an e-mail address",
  datetime: "an ISO 8601 time with a zone, such as 2030-01-31T12:00:00Z",
};

function unit(origin: string): string {
  return origin === "string" ? " characters long" : "";
}

function article(type: string): string {
  switch (type) {
    case "int":
      return "a whole number";
    case "object":
      return "a JSON object";
    default:
      return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
  }
}
