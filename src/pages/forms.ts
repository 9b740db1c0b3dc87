import type { Context } from "hono";
import * as z from "zod";
import { EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from "../auth/settings.ts";
import { readBodyText, type TextLimits } from "../text.ts";
import { PageError, type PagesEnv } from "./env.ts";
import type { Texts } from "./texts/english.tsx";

export const FORM_LIMITS: TextLimits = {
  /** Fits a prompt of 32,000 characters, each up to 12 bytes in a form's encoding, and the other fields. */
  bytesMax: 512 * 1024,
  stallMsMax: 30_000,
  durationMsMax: 60_000,
};

/** Fits the answer of a device, whose certificates some browsers send along. */
export const PASSKEY_LIMITS: TextLimits = { ...FORM_LIMITS, bytesMax: 32 * 1024 };

/** The errors of a form by field; `form` for an error of the form as a whole. */
export type FormErrors = Readonly<Record<string, string>>;

/**
 * Reads the text fields of a form. If a field is repeated, the first one counts.
 * @throws {PageError} 400 when the body is not a form, is malformed or takes too long; 413 when it is too large
 */
export async function readForm(
  c: Context<PagesEnv>,
  limits: TextLimits = FORM_LIMITS,
): Promise<Map<string, string>> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(c.req.header("Content-Type") ?? "")) {
    throw new PageError(400, c.get("texts").errors.notAForm);
  }
  const text = await readText(c, limits);
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

async function readText(c: Context<PagesEnv>, limits: TextLimits): Promise<string> {
  const body = await readBodyText(c.req.raw, limits);
  const { errors } = c.get("texts");
  switch (body.kind) {
    case "text":
      return body.text;
    case "empty":
      return "";
    case "too_large":
      throw new PageError(413, errors.formTooLarge);
    case "too_slow":
      throw new PageError(400, errors.formTooSlow);
    case "encoded":
    case "not_utf8":
    case "broken":
      throw new PageError(400, errors.formUnreadable);
  }
}

/** Validates the fields with a schema, or returns the schema's message for each invalid field. */
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

/** Normalizes an email address as the users table stores it. Null when it is invalid. */
export function readEmail(text: string): string | null {
  const result = Email.safeParse(text);
  return result.success ? result.data : null;
}

/** The error of a new password, or null. Only its length is checked (NIST SP 800-63B, 3.1.1). */
export function passwordFault(password: string, { auth }: Texts): string | null {
  const { length } = [...password];
  if (length < PASSWORD_LENGTH_MIN) return auth.passwordShort(PASSWORD_LENGTH_MIN);
  if (password.length > PASSWORD_LENGTH_MAX) return auth.passwordLong(PASSWORD_LENGTH_MAX);
  return null;
}

/** The page to open after sign-in: a path under /account. Anything else, such as another site, becomes /account. */
export function readNext(text: string | undefined): string {
  return text !== undefined && /^\/account(\/[\w-]+)*(\?[\w=&%.+-]*)?$/.test(text) ? text : "/account";
}
