import type { Context } from "hono";
import * as z from "zod";
import { EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, PASSWORD_LENGTH_MIN } from "../sessions/rules.ts";
import { PageError, type PagesEnv } from "./env.ts";

/** A prompt of 32,000 characters, each of them twelve in a form's encoding, and the other fields. */
const FORM_BYTES_MAX = 512 * 1024;

/** What is wrong with a form, by field; `form` where no single field is to blame. */
export type FormErrors = Readonly<Record<string, string>>;

/** The text fields of a form; the first where one is given twice. Files are left out. */
export async function readForm(c: Context<PagesEnv>): Promise<Map<string, string>> {
  if (!/^application\/x-www-form-urlencoded\b/i.test(c.req.header("Content-Type") ?? "")) {
    throw new PageError(400, "This address takes a form.");
  }
  const text = await readText(c.req.raw);
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(text)) {
    if (!fields.has(name)) fields.set(name, value);
  }
  return fields;
}

async function readText(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.length;
    if (bytes > FORM_BYTES_MAX) throw new PageError(413, "This is more than a form may carry.");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
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
