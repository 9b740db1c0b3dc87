import type { Context } from "hono";
import type * as z from "zod";
import { type BodyText, readBodyText, type TextLimits } from "../text.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, invalidRequest } from "./errors.ts";
import { type ParsedJson, parseJson } from "./json.ts";

export const JSON_BYTES_MAX = 1024 * 1024;

export const JSON_LIMITS: TextLimits = {
  bytesMax: JSON_BYTES_MAX,
  stallMsMax: 30_000,
  durationMsMax: 60_000,
};

/**
 * The request's JSON body as text, in which no object has a member twice.
 * @throws {ApiError} 400 for a body that is not JSON, 413 over 1 MiB, 415 for another media type or an encoded body
 */
export async function readJsonText(c: Context<AppEnv>, limits: TextLimits = JSON_LIMITS): Promise<string> {
  if (!isJson(c)) throw unsupportedMediaType("application/json");
  const body = await readBodyText(c.req.raw, limits);
  if (body.kind !== "text") throw refuseText(body.kind, limits);
  unlessRefused(parseJson(body.text));
  return body.text;
}

/** @throws {ApiError} 400 for a query with a parameter twice, or with one that has no name, which Hono would ignore */
export function refuseRepeatedParameters(url: string): void {
  const names = new Set<string>();
  for (const name of new URL(url).searchParams.keys()) {
    if (names.has(name)) throw givenTwice(name);
    names.add(name);
  }
  if (names.has("")) throw invalidRequest(" is not a field of this request.", "");
}

function unlessRefused(json: ParsedJson): void {
  switch (json.kind) {
    case "json":
      return;
    case "invalid":
      throw invalidRequest("The body is not valid JSON.");
    case "twice":
      throw givenTwice(json.name);
  }
}

function givenTwice(name: string): ApiError {
  const shown = name.slice(0, FIELD_NAME_SHOWN_MAX);
  return invalidRequest(`${shown} is given twice.`, shown);
}

function refuseText(kind: Exclude<BodyText["kind"], "text">, { bytesMax }: TextLimits): ApiError {
  switch (kind) {
    case "empty":
      return invalidRequest("The body is empty.");
    case "encoded":
      return new ApiError("unsupportedMediaType", ENCODED_MESSAGE, { param: ENCODED_PARAM });
    case "too_large":
      return new ApiError("payloadTooLarge", `The body is larger than ${bytesMax} bytes.`);
    case "too_slow":
      return invalidRequest("The body took too long to arrive.");
    case "not_utf8":
      return invalidRequest("The body is not valid UTF-8 text.");
    case "broken":
      return invalidRequest("The body could not be read to its end.");
  }
}

/** For a body with a content encoding. */
export const ENCODED_PARAM = "Content-Encoding";
export const ENCODED_MESSAGE = "Content-Encoding must be identity or left out: send the body uncompressed.";

/** For zod-validator. The value in each issue tells a missing field from one of the wrong type. */
export function validateWithInput(schema: z.ZodType, value: unknown) {
  return schema.safeParse(value, { reportInput: true });
}

/** zod-validator's hook. @throws {ApiError} 400 that names the first field that breaks a rule, and the rule */
export function refuseInvalid(result: { success: boolean; error?: z.core.$ZodError }): void {
  if (!result.success) throw refusalOf(result.error?.issues ?? []);
}

/** @throws {ApiError} 400 that names the first field that breaks a rule, and the rule */
export function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return result.data;
  throw refusalOf(result.error.issues);
}

function refusalOf(issues: readonly z.core.$ZodIssue[]): ApiError {
  // A mistyped field is often also a missing one. The message names the field as the caller wrote it.
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0];
  if (!issue) return invalidRequest("The body is not valid.");
  const { param, message } = explain(issue);
  return invalidRequest(message, param);
}

/** The media type of the body, in lower case, without its parameters. */
export function mediaType(request: Request): string {
  const [type = ""] = (request.headers.get("Content-Type") ?? "").split(";");
  return type.trim().toLowerCase();
}

export function isJson(c: Context<AppEnv>): boolean {
  return mediaType(c.req.raw) === "application/json";
}

export function unsupportedMediaType(accepted: string): ApiError {
  return new ApiError("unsupportedMediaType", `The body must be ${accepted}.`);
}

export const FIELD_NAME_SHOWN_MAX = 100;

/** A message for callers, from zod's issue. */
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
      // Our own patterns have their own messages.
      if (issue.format === "regex") return { param, message: issue.message };
      return { param, message: `${name} must be ${FORMATS.get(issue.format) ?? "in its documented form"}.` };
    case "not_multiple_of":
    case "invalid_union":
    case "invalid_key":
    case "invalid_element":
      return { param, message: `${name} is not valid.` };
  }
}

const FORMATS: ReadonlyMap<string, string> = new Map([
  ["email", "an e-mail address"],
  ["date", "a day, such as 2030-01-31"],
  ["datetime", "an ISO 8601 time with a zone, such as 2030-01-31T12:00:00Z"],
]);

function unit(origin: string): string {
  return origin === "string" ? " characters long" : "";
}

function article(type: string): string {
  switch (type) {
    case "int":
      return "a whole number";
    case "object":
    case "record":
      return "a JSON object";
    default:
      return `${/^[aeiou]/.test(type) ? "an" : "a"} ${type}`;
  }
}
