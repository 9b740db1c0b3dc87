import { Hono } from "hono";
import * as z from "zod";
import { newId } from "../../id.ts";
import {
  ACTIVE_KEYS_MAX,
  type ApiKey,
  changeKey,
  isKeysCursor,
  issueKey,
  KEY_NAME_LENGTH_MAX,
  KEYS_LISTED_MAX,
  keyModes,
  listKeys,
  type NewKey,
  revokeKey,
} from "../../keys/manage.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, notFound } from "../errors.ts";
import {
  CURSOR_DESCRIPTION,
  idOf,
  isoTime,
  isoTimeOrNull,
  limitMeta,
  listOf,
  named,
  page,
  time,
  timestamp,
} from "../fields.ts";
import { readTermsInput, renderTerms, TERMS_EXAMPLE, termsFields, termsInput } from "../key-terms.ts";
import { audit, withUser } from "./operator.ts";

const KeyBody = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .max(KEY_NAME_LENGTH_MAX)
    .meta({ description: "A name that tells the user's keys apart." }),
  mode: z
    .enum(keyModes)
    .default("live")
    .meta({ description: "A `test` key generates with the built-in provider, and pays nothing." }),
  expires_at: timestamp
    .refine((at) => at > Date.now(), { message: "expires_at must be in the future." })
    .nullable()
    .optional()
    .meta({ description: "A time in the future. Null, the default, is never." }),
  ...termsInput,
});

const KeyChanges = z
  .strictObject({ name: KeyBody.shape.name.optional(), ...termsInput })
  .refine((changes) => Object.values(changes).some((value) => value !== undefined), {
    message: "Name at least one field to change.",
  });

/** `cursor` is the `next_cursor` of the page before. */
const KeysQuery = z.strictObject({
  limit: z
    .string()
    .regex(/^\d{1,15}$/, { message: "limit must be a whole number." })
    .transform(Number)
    .pipe(z.int().min(1).max(KEYS_LISTED_MAX))
    .default(KEYS_LISTED_MAX)
    .meta(limitMeta(KEYS_LISTED_MAX, KEYS_LISTED_MAX)),
  cursor: z
    .string()
    .refine(isKeysCursor, { message: "cursor must be the next_cursor of an earlier answer." })
    .nullable()
    .default(null)
    .meta({ description: CURSOR_DESCRIPTION, documentedAs: { type: "string" } }),
});

const ApiKeyAnswer = named("ApiKey", () =>
  z.strictObject({
    object: z.literal("api_key"),
    id: idOf("key"),
    name: z.string(),
    mode: z.enum(keyModes),
    display: z.string().meta({ description: "The last characters of the key, behind its prefix." }),
    ...termsFields(),
    created_at: time,
    expires_at: time.nullable(),
    revoked_at: time.nullable(),
  }),
);

const ApiKeyList = named("ApiKeyList", () => listOf(ApiKeyAnswer).extend(page));

const IssuedApiKey = named("IssuedApiKey", () =>
  ApiKeyAnswer.unwrap().extend({
    api_key: z.string().meta({ description: "The key itself. It is never shown again." }),
  }),
);

const example: z.input<typeof ApiKeyAnswer> = {
  object: "api_key",
  id: "key_01KQGQ0V5E8H2T7J4M9S6D3WXR",
  name: "Website",
  mode: "live",
  display: "gih_live_x9Kf",
  ...TERMS_EXAMPLE,
  created_at: "2026-04-30T07:56:00.000Z",
  expires_at: null,
  revoked_at: null,
};

export const keys = new Hono<AppEnv>();

keys.post(
  "/users/:id/api_keys",
  withUser,
  contract({
    id: "issueApiKey",
    summary: "Create an API key",
    tag: "operator",
    security: "operator",
    body: { schema: KeyBody, example: { name: "Website" } },
    answers: {
      201: json("The key. The answer to this request is the only one that contains it.", IssuedApiKey, {
        ...example,
        api_key: "gih_live_7Qm2Zt5Lw8Rb1Nc4Vx6Hd9Kf0Gx9Kf",
      }),
    },
    errors: [409],
  }),
  async (c) => {
    const { user } = c.var;
    const { name, mode, expires_at: expiresAt = null, ...terms } = c.req.valid("json");
    const key: NewKey = {
      id: newId("key"),
      userId: user.id,
      name,
      mode,
      expiresAt,
      ...readTermsInput(terms),
    };
    const issued = await issueKey(c.env.DB, key, Date.now());
    if (issued.kind === "too_many") {
      const message = `A user may have at most ${ACTIVE_KEYS_MAX} active keys. Revoke one first.`;
      throw new ApiError("conflict", message);
    }
    if (issued.kind !== "issued") throw new Error("A new key's id is in use.");
    await audit(c, "create_key", { user_id: user.id, key_id: key.id, mode, expires_at: key.expiresAt });
    return c.json({ ...renderKey(issued.key), api_key: issued.secret }, 201);
  },
);

keys.get(
  "/users/:id/api_keys",
  withUser,
  contract({
    id: "listApiKeys",
    summary: "List a user's API keys",
    tag: "operator",
    security: "operator",
    query: KeysQuery,
    answers: {
      200: json("A page of keys without their secrets, active ones first.", ApiKeyList, {
        object: "list",
        data: [example],
        has_more: false,
        next_cursor: null,
      }),
    },
  }),
  async (c) => {
    const { limit, cursor } = c.req.valid("query");
    const { keys, next } = await listKeys(c.env.DB, c.var.user.id, { limit, cursor, now: Date.now() });
    return c.json({
      object: "list",
      data: keys.map(renderKey),
      has_more: next !== null,
      next_cursor: next,
    });
  },
);

keys.patch(
  "/api_keys/:id",
  contract({
    id: "changeApiKey",
    summary: "Change an API key",
    description: "From the key's next request on. What is left out stays as it is.",
    tag: "operator",
    security: "operator",
    body: { schema: KeyChanges, example: { credit_limit: { credits: 500, period: "month" } } },
    answers: { 200: json("The changed key.", ApiKeyAnswer, example) },
  }),
  async (c) => {
    const { name, ...terms } = c.req.valid("json");
    const id = c.req.param("id");
    const changes = { ...(name === undefined ? {} : { name }), ...readTermsInput(terms) };
    const key = await changeKey(c.env.DB, { id }, changes);
    if (!key) throw notFound();
    await audit(c, "change_key", { user_id: key.userId, key_id: id, fields: Object.keys(changes).join() });
    return c.json(renderKey(key));
  },
);

keys.delete(
  "/api_keys/:id",
  contract({
    id: "revokeApiKey",
    summary: "Revoke an API key",
    tag: "operator",
    security: "operator",
    answers: { 204: { description: "The key is refused from the next request on.", schema: null } },
  }),
  async (c) => {
    const id = c.req.param("id");
    if (!(await revokeKey(c.env.DB, { id }, Date.now()))) throw notFound();
    await audit(c, "revoke_key", { key_id: id });
    return c.body(null, 204);
  },
);

/** A key without its secret, as every answer but the first shows it. */
export function renderKey(key: ApiKey): z.input<typeof ApiKeyAnswer> {
  return {
    object: "api_key",
    id: key.id,
    name: key.name,
    mode: key.mode,
    display: key.display,
    ...renderTerms(key),
    created_at: isoTime(key.createdAt),
    expires_at: isoTimeOrNull(key.expiresAt),
    revoked_at: isoTimeOrNull(key.revokedAt),
  };
}
