import type { Context } from "hono";
import { hashKey, isWellFormed, readBearer } from "../keys/format.ts";
import { type Caller, type KeyVerdict, lookUpKey, noteUse } from "../keys/lookup.ts";
import { describe, log } from "../log.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, type ErrorCode, unavailable } from "./errors.ts";
import { limitFailures, limitReads } from "./guards.ts";

type LookUp<Found> = (keyHash: string, now: number) => Promise<Found>;

/**
 * The caller behind the request's API key: one read of D1.
 * @throws {ApiError} 401; 429 after too many failures; 503 while D1 does not answer
 */
export async function authenticate(c: Context<AppEnv>): Promise<Caller> {
  const lookUpOnly = async (hash: string, now: number) => ({
    verdict: await lookUpKey(c.env.DB, hash, now),
    found: null,
  });
  return (await authenticateAnd(c, lookUpOnly)).caller;
}

/** The same, by a look-up that finds something of the handler's own with it. */
export async function authenticateAnd<Found>(
  c: Context<AppEnv>,
  find: LookUp<{ verdict: KeyVerdict; found: Found }>,
): Promise<{ caller: Caller; found: Found }> {
  const hash = await presentedKeyHash(c);
  return await limitFailures(c, hash, async () => {
    if (hash === null) throw refusalOf(c);
    const { verdict, found } = await lookUp(c, hash, find);
    return { caller: admit(c, verdict), found };
  });
}

async function lookUp<Found>(c: Context<AppEnv>, hash: string, find: LookUp<Found>): Promise<Found> {
  // What costs credits is counted exactly, by the account.
  if (c.req.method === "GET" || c.req.method === "HEAD") await limitReads(c, hash);
  try {
    return await find(hash, Date.now());
  } catch (error) {
    log("key_lookup_failed", { request_id: c.get("requestId"), error: describe(error) });
    throw unavailable();
  }
}

/** The hash of a key that may have been issued, or null: then {@link refusalOf} says why. */
async function presentedKeyHash(c: Context<AppEnv>): Promise<string | null> {
  const token = readBearer(c.req.header("Authorization"));
  return token.kind === "key" && isWellFormed(token.key) ? await hashKey(token.key) : null;
}

function refusalOf(c: Context<AppEnv>): ApiError {
  switch (readBearer(c.req.header("Authorization")).kind) {
    case "missing":
      return refusal("missingApiKey", "Send your API key in the Authorization header: Bearer gih_live_...");
    case "malformed":
      return refusal("invalidApiKey", "The Authorization header must be: Bearer gih_live_...");
    case "key":
      return refusal("invalidApiKey", "This API key is not valid.");
  }
}

function admit(c: Context<AppEnv>, verdict: KeyVerdict): Caller {
  switch (verdict.kind) {
    case "caller":
      c.set("userId", verdict.caller.userId);
      if (verdict.firstOfDay) c.executionCtx.waitUntil(note(c, verdict.caller.keyId));
      return verdict.caller;
    case "invalid":
      throw refusal("invalidApiKey", "This API key is not valid.");
    case "expired":
      throw refusal("expiredApiKey", "This API key has expired.");
  }
}

/** Beside the request, which does not wait for it: it is only shown to the key's owner. */
async function note(c: Context<AppEnv>, keyId: string): Promise<void> {
  try {
    await noteUse(c.env.DB, keyId, Date.now());
  } catch (error) {
    log("key_use_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
}

function refusal(code: ErrorCode, message: string): ApiError {
  return new ApiError(code, message, { headers: { "WWW-Authenticate": "Bearer" } });
}
