import * as z from "zod";
import { operatorStates } from "../../dispatch/gate.ts";
import { isKeysCursor, KEY_NAME_LENGTH_MAX, KEYS_LISTED_MAX } from "../../keys/manage.ts";
import { accountTypes } from "../../users/users.ts";

const CREDITS_MAX = 1_000_000_000;
const EMAIL_LENGTH_MAX = 254;
const NAME_LENGTH_MAX = 100;
const REASON_LENGTH_MAX = 200;
const ENTRIES_LISTED_MAX = 100;
const ENTRIES_LISTED = 20;

const keyName = z.string().trim().min(1).max(KEY_NAME_LENGTH_MAX);
const name = z.string().trim().min(1).max(NAME_LENGTH_MAX);
const accountType = z.enum(accountTypes);
const email = z.string().trim().toLowerCase().max(EMAIL_LENGTH_MAX).pipe(z.email());

/** An ISO time as milliseconds since 1970. */
const time = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

const future = time.refine((at) => at > Date.now(), { message: "expires_at must be in the future." });

/** Ids that the book gives itself, so that no grant of an operator's can stand in their place. */
const OWN_GRANT_IDS = /^(signup$|refund_)/;

const grantId = z
  .string()
  .regex(/^[\x21-\x7e]{1,128}$/, { message: "id must be 1 to 128 visible ASCII characters." })
  .refine((id) => !OWN_GRANT_IDS.test(id), { message: "id must not be signup or begin with refund_." });

export const UserBody = z.strictObject({
  email,
  name: name.optional(),
  account_type: accountType.default("FREE"),
});

export const UserChange = z
  .strictObject({ name: name.optional(), account_type: accountType.optional() })
  .refine((change) => Object.values(change).some((value) => value !== undefined), {
    message: "The body must have name or account_type.",
  });

export const UserQuery = z.strictObject({ email });

export const CreditsBody = z.strictObject({
  id: grantId.optional(),
  credits: z.number().min(1).max(CREDITS_MAX).int(),
  // A new grant's must be in the future. The account checks it: the same grant may be sent again after its expiry.
  expires_at: time.nullable().optional(),
  reason: z.string().max(REASON_LENGTH_MAX).optional(),
});

export const KeyBody = z.strictObject({ name: keyName, expires_at: future.nullable().optional() });

export const ProviderChange = z.strictObject({ state: z.enum(operatorStates) });

const wholeNumber = z
  .string()
  .regex(/^\d{1,15}$/, { message: "limit must be a whole number." })
  .transform(Number);

/** `cursor` becomes the number of the entry that the page comes before. */
export const EntriesQuery = z.strictObject({
  limit: wholeNumber.pipe(z.int().min(1).max(ENTRIES_LISTED_MAX)).default(ENTRIES_LISTED),
  cursor: z
    .string()
    .transform((text) => readCursor(text))
    .refine((seq) => seq !== null, { message: "cursor must be the next_cursor of an earlier answer." })
    .transform((seq) => seq ?? 0)
    .default(Number.MAX_SAFE_INTEGER),
});

/** `cursor` is the `next_cursor` of the page before. */
export const KeysQuery = z.strictObject({
  limit: wholeNumber.pipe(z.int().min(1).max(KEYS_LISTED_MAX)).default(KEYS_LISTED_MAX),
  cursor: z
    .string()
    .refine(isKeysCursor, { message: "cursor must be the next_cursor of an earlier answer." })
    .nullable()
    .default(null),
});

/** `cursor` is the `next_cursor` of the page before: a user, and the generation of theirs that it stopped at. */
export const ReconcileQuery = z.strictObject({
  cursor: z
    .string()
    .regex(/^user_[0-9A-Z]{26}(:gen_[0-9A-Z]{26})?$/, {
      message: "cursor must be the next_cursor of an earlier answer.",
    })
    .transform((text) => {
      const [userId = "", generationId = ""] = text.split(":");
      return { userId, generationId };
    })
    .optional()
    .transform((place) => place ?? null),
});

function readCursor(text: string): number | null {
  const digits = /^[A-Za-z0-9+/]{1,24}={0,2}$/.test(text) ? decode(text) : "";
  return /^[1-9]\d{0,14}$/.test(digits) ? Number(digits) : null;
}

function decode(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
