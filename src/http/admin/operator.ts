import { createMiddleware } from "hono/factory";
import { readConfig } from "../../config.ts";
import { sha256Hex } from "../../hash.ts";
import { describe, log } from "../../log.ts";
import { findUser, type User } from "../../users/users.ts";
import { type ActionFields, recordAction } from "../../watch/audit.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, notFound } from "../errors.ts";
import { limitFailures } from "../guards.ts";

/** Shorter tokens can be guessed. */
const TOKEN_LENGTH_MIN = 32;
const warned = new WeakSet<object>();

/** The tokens of the operator's routes, the current one first. None: those routes do not exist. */
export function operatorTokens(env: Env): readonly string[] {
  const { ADMIN_TOKEN, ADMIN_TOKEN_PREVIOUS } = readConfig(env);
  if (ADMIN_TOKEN === undefined) return [];
  if (ADMIN_TOKEN.length < TOKEN_LENGTH_MIN) {
    if (!warned.has(env)) log("admin_token_too_short", { length_min: TOKEN_LENGTH_MIN });
    warned.add(env);
    return [];
  }
  return [ADMIN_TOKEN, ADMIN_TOKEN_PREVIOUS ?? ""].filter(({ length }) => length >= TOKEN_LENGTH_MIN);
}

/**
 * Checks a token that is presented as the operator's.
 * @param presented undefined: none
 * @throws {ApiError} 401 for another token; 429 after too many failures
 */
export async function checkOperator(
  c: Parameters<typeof limitFailures>[0],
  presented: string | undefined,
  tokens: readonly string[],
): Promise<void> {
  await limitFailures(c, presented === undefined ? null : await sha256Hex(presented), async () => {
    if (presented !== undefined && (await isOneOf(presented, tokens))) return;
    const code = c.req.header("Authorization") === undefined ? "missingApiKey" : "invalidApiKey";
    throw new ApiError(code, "This needs the operator's token.", {
      headers: { "WWW-Authenticate": "Bearer" },
    });
  });
}

/**
 * Accepts requests with the operator's token, or with its predecessor. Without a token of at least 32 characters these
 * routes do not exist.
 *
 * Not `hono/bearer-auth`, which answers a malformed header with 400, refuses tokens with other characters than RFC 6750
 * names, and does not report a missing or malformed header, which counts as a failure here.
 */
export const operatorOnly = createMiddleware<AppEnv>(async (c, next) => {
  const tokens = operatorTokens(c.env);
  if (tokens.length === 0) throw notFound();
  const [, presented] = /^Bearer +(.+)$/i.exec(c.req.header("Authorization") ?? "") ?? [];
  await checkOperator(c, presented, tokens);
  await next();
});

/** Finds the user of `/users/:id/…`, as `c.var.user`. @throws {ApiError} 404 */
export const withUser = createMiddleware<AppEnv & { Variables: { user: User } }>(async (c, next) => {
  const user = await findUser(c.env.DB, c.req.param("id") ?? "");
  if (!user) throw notFound();
  c.set("userId", user.id);
  c.set("user", user);
  await next();
});

/**
 * Records an operator's change in the log and in the audit trail: ids and amounts, never a name, an address or
 * a secret. It never throws, because the change is made: if the trail cannot be written, the log has the action.
 */
export async function audit(
  c: { readonly var: { requestId: string }; readonly env: Pick<Env, "LOG"> },
  action: string,
  fields: ActionFields,
): Promise<void> {
  const requestId = c.var.requestId;
  log("admin_action", { request_id: requestId, action, ...fields });
  try {
    await recordAction(c.env.LOG, { action, requestId, fields }, Date.now());
  } catch (error) {
    log("audit_failed", { request_id: requestId, action, error: describe(error) });
  }
}

async function isOneOf(presented: string, tokens: readonly string[]): Promise<boolean> {
  const checks = await Promise.all(tokens.map((token) => sameSecret(presented, token)));
  return checks.includes(true);
}

/** Compares digests in constant time, so that the duration reveals nothing about the secret. */
async function sameSecret(presented: string, secret: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [presented, secret].map((text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
  );
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}
