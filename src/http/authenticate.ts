import type { BatchItem } from "drizzle-orm/batch";
import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";
import type { Context } from "hono";
import { hashKey, isWellFormed, readBearer } from "../keys/format.ts";
import { type Caller, judgeKey, keyQuery } from "../keys/lookup.ts";
import { describe, log } from "../log.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, type ErrorCode, unavailable } from "./errors.ts";

/**
 * The caller behind the request's API key: one read of D1.
 * @throws {ApiError} 401, or 503 while D1 does not answer
 */
export async function authenticate(c: Context<AppEnv>): Promise<Caller> {
  const hash = await presentedKeyHash(c);
  const rows = await orUnavailable(c, keyQuery(drizzle(c.env.DB), hash));
  return admit(c, judgeKey(rows, Date.now()));
}

/** The same, with a query of the caller's own in the same round trip. Its rows are worth nothing if this throws. */
export async function authenticateAnd<Q extends BatchItem<"sqlite">>(
  c: Context<AppEnv>,
  query: (db: DrizzleD1Database, keyHash: string) => Q,
): Promise<{ caller: Caller; rows: Q["_"]["result"] }> {
  const hash = await presentedKeyHash(c);
  const db = drizzle(c.env.DB);
  const [keys, rows] = await orUnavailable(c, db.batch([keyQuery(db, hash), query(db, hash)]));
  return { caller: admit(c, judgeKey(keys, Date.now())), rows };
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

function admit(c: Context<AppEnv>, verdict: ReturnType<typeof judgeKey>): Caller {
  switch (verdict.kind) {
    case "caller":
      c.set("userId", verdict.caller.userId);
      return verdict.caller;
    case "invalid":
      throw refusal("invalidApiKey", "This API key is not valid.");
    case "expired":
      throw refusal("expiredApiKey", "This API key has expired.");
  }
}

function refusal(code: ErrorCode, message: string): ApiError {
  return new ApiError(code, message, { headers: { "WWW-Authenticate": "Bearer" } });
}

async function orUnavailable<T>(c: Context<AppEnv>, query: PromiseLike<T>): Promise<T> {
  try {
    return await query;
  } catch (error) {
    log("key_lookup_failed", { request_id: c.get("requestId"), error: describe(error) });
    throw unavailable();
  }
}
