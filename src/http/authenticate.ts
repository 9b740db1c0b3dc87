import type { Context } from "hono";
import { hashKey, isWellFormed, readBearer } from "../keys/format.ts";
import { type Caller, type KeyLookup, lookUpKey, recordKeyUse } from "../keys/lookup.ts";
import type { KeyScope } from "../keys/terms.ts";
import { describe, log } from "../log.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, type ErrorCode, forbidden, unavailable } from "./errors.ts";
import { limitFailures, limitReads } from "./guards.ts";

/** The caller of a route whose contract asks for an API key. */
export function callerOf(c: Context<AppEnv>): Caller {
  const caller = c.get("caller");
  if (!caller) throw new Error("This route's contract asks for no API key.");
  return caller;
}

/**
 * The caller behind the request's API key: one read of `DB`.
 * @param isCounted whether the account counts such requests exactly; if not, the platform limits them
 * @throws {ApiError} 401; 429 after too many failures; 503 while `DB` does not answer
 */
export async function authenticate(c: Context<AppEnv>, isCounted: boolean): Promise<Caller> {
  const hash = await presentedKeyHash(c);
  return await limitFailures(c, hash, async () => {
    if (hash === null) throw refusalOf(c);
    if (!isCounted) await limitReads(c, hash);
    return admit(c, await lookUp(c, hash));
  });
}

/**
 * @param scope what the key must be allowed to do
 * @throws {ApiError} 403
 */
export function requireScope({ scopes }: Caller, scope: KeyScope): void {
  if (!scopes.includes(scope)) throw forbidden(`This API key lacks the scope ${scope}.`);
}

async function lookUp(c: Context<AppEnv>, hash: string): Promise<KeyLookup> {
  try {
    return await lookUpKey(c.env.DB, hash, Date.now());
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

function admit(c: Context<AppEnv>, verdict: KeyLookup): Caller {
  switch (verdict.kind) {
    case "caller":
      c.set("userId", verdict.caller.userId);
      if (verdict.firstUseToday) c.executionCtx.waitUntil(note(c, verdict.caller.keyId));
      return verdict.caller;
    case "invalid":
      throw refusal("invalidApiKey", "This API key is not valid.");
    case "expired":
      throw refusal("expiredApiKey", "This API key has expired.");
    case "suspended":
      throw forbidden("This account is suspended. Contact the operator of this service.");
  }
}

/** The request does not wait for it: the time of the last use is only shown to the key's owner. */
async function note(c: Context<AppEnv>, keyId: string): Promise<void> {
  try {
    await recordKeyUse(c.env.DB, keyId, Date.now());
  } catch (error) {
    log("key_use_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
}

function refusal(code: ErrorCode, message: string): ApiError {
  return new ApiError(code, message, { headers: { "WWW-Authenticate": "Bearer" } });
}
