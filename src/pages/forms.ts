import type { Context } from "hono";
import * as z from "zod";
import { EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from "../auth/settings.ts";
import { readBodyText, type TextLimits } from "../text.ts";
import { PageError, type PagesEnv } from "./env.ts";

export const FORM_LIMITS: TextLimits = {
  /** A prompt of 32,000 characters, each of them twelve in a form's encoding, and the other fields. */
  bytesMax: 512 * 1024,
  stallMsMax: 30_000,
  durationMsMax: 60_000,
};

/** What is wrong with a form, by field; `form` where no single field is to blame. */
export type FormErrors = Readonly<Record<string, string>>;

/**
 * The text fields of a form; the first where one is given twice.
 * @throws {PageError} 400 for what is no form, is broken or takes too long; 413 for more than a form may carry
 */
export async function readForm(
  c: Context<PagesEnv>,
  limits: TextLimits = FORM_LIMITS,
): Promise<Map<string, string>> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(c.req.header("Content-Type") ?? "")) {
    throw new PageError(400, "This address takes a form.");
  }
  const text = await readText(c.req.raw, limits);
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

async function readText(request: Request, limits: TextLimits): Promise<string> {
  const body = await readBodyText(request, limits);
  switch (body.kind) {
    case "text":
      return body.text;
    case "empty":
      return "";
    case "too_large":
      throw new PageError(413, "This is more than a form may carry.");
    case "too_slow":
      throw new PageError(400, "The form took too long to arrive. Please send it again.");
    case "encoded":
    case "not_utf8":
    case "broken":
      throw new PageError(400, "The form could not be read.");
  }
}

/** The fields by a schema, or what is wrong with each of them, in the schema's words. */
export function parseForm<T>(
  schema: z.ZodType<T>,
  fields: ReadonlyMap<string, string>,
): { kind: "valid"; data: T } | { kind: "invalid"; errors: FormErrors } {
  const result = schema.safeParse(Object.fromEntries(fields));
  if (result.success) return { kind: "valid", data: result.data };
  const errors = result.error.issues.map(({ path, message }) => [path.join(".") || "form", message] as const);
  return { kind: "invalid", errors: Object.fromEntries(errors.toReversed()) };
}

const Email = z.string().trim().toLowerCase().max(EMAIL_LENGTH_MAX).pipe(z.email());

/** The address in the form the users table has it, or null when it is none. */
export function readEmail(text: string): string | null {
  const result = Email.safeParse(text);
  return result.success ? result.data : null;
}

/** What is wrong with a password that somebody chooses, or null. Length is all that is asked (NIST SP 800-63B, 3.1.1). */
export function passwordFault(password: string): string | null {
  const { length } = [...password];
  if (length < PASSWORD_LENGTH_MIN)
    return `The password must have at least ${PASSWORD_LENGTH_MIN} characters.`;
  if (password.length > PASSWORD_LENGTH_MAX) {
    return `The password must have at most ${PASSWORD_LENGTH_MAX} characters.`;
  }
  return null;
}

/** A path of this site that a form may lead to; anything else, another site above all, becomes the account. */
export function readNext(text: string | undefined): string {
  return text !== undefined && /^\/account(\/[\w-]+)*(\?[\w=&%.+-]*)?$/.test(text) ? text : "/account";
}
