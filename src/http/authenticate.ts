import type { Context } from "hono";
import { hashKey, isWellFormed, readBearer } from "../keys/format.ts";
import { type Caller, type KeyVerdict, lookUpKey, noteUse } from "../keys/lookup.ts";
import { describe, log } from "../log.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, type ErrorCode, unavailable } from "./errors.ts";
import { RETRY_AFTER_SECONDS_MAX } from "./limits.ts";

type LookUp<Found> = (keyHash: string, now: number) => Promise<Found>;

/**
 * The caller behind the request's API key: one read of D1.
 * @throws {ApiError} 401, or 503 while D1 does not answer
 */
export async function authenticate(c: Context<AppEnv>): Promise<Caller> {
  const look: LookUp<KeyVerdict> = (hash, now) => lookUpKey(c.env.DB, hash, now);
  return guarded(c, async () => admit(c, await lookUp(c, look)));
}

/** The same, by a look-up that finds something of the handler's own with it. */
export async function authenticateAnd<Found>(
  c: Context<AppEnv>,
  lookUpAnd: LookUp<{ verdict: KeyVerdict; found: Found }>,
): Promise<{ caller: Caller; found: Found }> {
  return guarded(c, async () => {
    const { verdict, found } = await lookUp(c, lookUpAnd);
    return { caller: admit(c, verdict), found };
  });
}

/** Somebody who tries keys is slowed down: by the platform's own limit, which costs no storage and is only about right. */
async function guarded<T>(c: Context<AppEnv>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const refused = error instanceof ApiError && error.code in REFUSALS;
    if (refused) await hold(c.env.FAILED_KEYS_GUARD, c.req.header("CF-Connecting-IP") ?? "unknown");
    throw error;
  }
}

const REFUSALS = { missingApiKey: true, invalidApiKey: true, expiredApiKey: true };

/** @throws {ApiError} 429 beyond the limit; in development there is none */
async function hold(guard: RateLimit | undefined, key: string): Promise<void> {
  if (!guard || (await guard.limit({ key })).success) return;
  const message = "Too many requests. Nothing was charged.";
  throw new ApiError("rateLimited", message, { headers: { "Retry-After": String(RETRY_AFTER_SECONDS_MAX) } });
}

async function lookUp<Found>(c: Context<AppEnv>, find: LookUp<Found>): Promise<Found> {
  const hash = await presentedKeyHash(c);
  // What costs credits is counted exactly, by the account.
  if (c.req.method === "GET" || c.req.method === "HEAD") await hold(c.env.READS_GUARD, hash);
  try {
    return await find(hash, Date.now());
  } catch (error) {
    log("key_lookup_failed", { request_id: c.get("requestId"), error: describe(error) });
    throw unavailable();
  }
}

async function presentedKeyHash(c: Context<AppEnv>): Promise<string> {
  const token = readBearer(c.req.header("Authorization"));
  switch (token.kind) {
    case "missing":
      throw refusal("missingApiKey", "Send your API key in the Authorization header: Bearer gih_live_...");
    case "malformed":
      throw refusal("invalidApiKey", "The Authorization header must be: Bearer gih_live_...");
    case "key":
      if (!isWellFormed(token.key)) throw refusal("invalidApiKey", "This API key is not valid.");
      return await hashKey(token.key);
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
