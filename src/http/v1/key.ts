import { Hono } from "hono";
import * as z from "zod";
import { findKey, keyModes } from "../../keys/manage.ts";
import { callerOf } from "../authenticate.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { count, idOf, isoTime, isoTimeOrNull, named, time } from "../fields.ts";
import { renderTerms, TERMS_EXAMPLE, termsFields } from "../key-terms.ts";

const OwnKey = named("OwnKey", () =>
  z.strictObject({
    object: z.literal("api_key"),
    id: idOf("key"),
    name: z.string(),
    mode: z.enum(keyModes),
    ...termsFields(),
    credits_used: count.meta({
      description: "What the key has spent in the current period of its limit, or in all without a limit.",
    }),
    resets_at: time.nullable().meta({ description: "When the period ends. Null: never." }),
    created_at: time,
    expires_at: time.nullable(),
    last_used_at: time.nullable().meta({ description: "Exact to the day." }),
  }),
);

export const key = new Hono<AppEnv>();

key.get(
  "/key",
  contract({
    id: "getKey",
    summary: "Retrieve the API key of the request",
    description: "What it may do, and what it has spent. Every key may read it.",
    tag: "credits",
    security: "apiKey",
    scope: null,
    answers: {
      200: json("The key, without its secret.", OwnKey, {
        object: "api_key",
        ...{ id: "key_01KQGQ0V5E8H2T7J4M9S6D3WXR", name: "Website", mode: "live", ...TERMS_EXAMPLE },
        ...{ credits_used: 24, resets_at: "2026-05-01T00:00:00.000Z" },
        ...{ created_at: "2026-04-30T07:56:00.000Z", expires_at: null, last_used_at: null },
      }),
    },
  }),
  async (c) => {
    const { userId, keyId, creditLimit } = callerOf(c);
    const [found, [spent]] = await Promise.all([
      findKey(c.env.DB, { id: keyId, userId }),
      c.env.ACCOUNT.getByName(userId).spentByKeys([{ keyId, limit: creditLimit }]),
    ]);
    if (!found) throw notFound();
    return c.json({
      object: "api_key",
      id: found.id,
      name: found.name,
      mode: found.mode,
      ...renderTerms(found),
      credits_used: spent?.credits ?? 0,
      resets_at: isoTimeOrNull(spent?.resetsAt ?? null),
      created_at: isoTime(found.createdAt),
      expires_at: isoTimeOrNull(found.expiresAt),
      last_used_at: isoTimeOrNull(found.lastUsedAt),
    });
  },
);
