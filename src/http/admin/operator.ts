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

/**
 * Lets in requests with the operator's token, or with its predecessor. Without a token of at least 32 characters these routes do not exist.
 *
 * Not `hono/bearer-auth`, which answers a malformed header with 400, refuses tokens with other characters than RFC 6750
 * names, and does not ask about a missing or malformed header, which counts as a failure here.
 */
export const operatorOnly = createMiddleware<AppEnv>(async (c, next) => {
  const { ADMIN_TOKEN, ADMIN_TOKEN_PREVIOUS } = readConfig(c.env);
  if (ADMIN_TOKEN === undefined) throw notFound();
  if (ADMIN_TOKEN.length < TOKEN_LENGTH_MIN) {
    if (!warned.has(c.env)) log("admin_token_too_short", { length_min: TOKEN_LENGTH_MIN });
    warned.add(c.env);
    throw notFound();
  }
  const [, presented] = /^Bearer +(.+)$/i.exec(c.req.header("Authorization") ?? "") ?? [];
  await limitFailures(c, presented === undefined ? null : await sha256Hex(presented), async () => {
    if (presented !== undefined && (await isOneOf(presented, [ADMIN_TOKEN, ADMIN_TOKEN_PREVIOUS]))) return;
    const code = c.req.header("Authorization") ? "invalidApiKey" : "missingApiKey";
    throw new ApiError(code, "This needs the operator's token.", {
      headers: { "WWW-Authenticate": "Bearer" },
    });
  });
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
 * Records a change that an operator made, in the log and in the audit trail: ids and amounts, never a name, an address or
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

/** Whether a token is one of these. Those that are unset or too short open nothing. */
async function isOneOf(presented: string, tokens: readonly (string | undefined)[]): Promise<boolean> {
  const checks = tokens.map(
    async (token = "") => token.length >= TOKEN_LENGTH_MIN && (await sameSecret(presented, token)),
  );
  return (await Promise.all(checks)).includes(true);
}

/** Compares digests, in constant time: nothing of the secret shows in how long a wrong one takes. */
async function sameSecret(presented: string, secret: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [presented, secret].map((text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
  );
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}
