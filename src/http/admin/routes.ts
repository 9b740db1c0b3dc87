import { type Context, Hono } from "hono";
import { createMiddleware } from "hono/factory";
import { readConfig } from "../../config.ts";
import { operateGate, viewGates } from "../../dispatch/client.ts";
import { isGate } from "../../dispatch/routes.ts";
import { reconcile } from "../../generations/reconcile.ts";
import { sha256Hex } from "../../hash.ts";
import { newId } from "../../id.ts";
import { ACTIVE_KEYS_MAX, issueKey, listKeys, revokeKey } from "../../keys/manage.ts";
import { log } from "../../log.ts";
import { changeUser, createUser, findUser, findUserByEmail, type User } from "../../users/users.ts";
import { readJson, readQuery } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest, notFound } from "../errors.ts";
import { limitFailures } from "../guards.ts";
import { renderBalance } from "../v1/render.ts";
import {
  renderEntry,
  renderGrant,
  renderKey,
  renderProvider,
  renderReconciliation,
  renderUser,
} from "./render.ts";
import {
  CreditsBody,
  EntriesQuery,
  KeyBody,
  KeysQuery,
  ProviderChange,
  ReconcileQuery,
  UserBody,
  UserChange,
  UserQuery,
} from "./schemas.ts";

export const admin = new Hono<AppEnv>();

/** Shorter tokens can be guessed. */
const TOKEN_LENGTH_MIN = 32;
const warned = new WeakSet<object>();

/** Without a token of at least 32 characters the operator's routes do not exist. */
const operatorOnly = createMiddleware<AppEnv>(async (c, next) => {
  const { ADMIN_TOKEN } = readConfig(c.env);
  if (ADMIN_TOKEN === undefined) throw notFound();
  if (ADMIN_TOKEN.length < TOKEN_LENGTH_MIN) {
    if (!warned.has(c.env)) log("admin_token_too_short", { length_min: TOKEN_LENGTH_MIN });
    warned.add(c.env);
    throw notFound();
  }
  const [, presented] = /^Bearer +(.+)$/i.exec(c.req.header("Authorization") ?? "") ?? [];
  await limitFailures(c, presented === undefined ? null : await sha256Hex(presented), async () => {
    if (presented !== undefined && (await sameSecret(presented, ADMIN_TOKEN))) return;
    const code = c.req.header("Authorization") ? "invalidApiKey" : "missingApiKey";
    throw new ApiError(code, "This needs the operator's token.", {
      headers: { "WWW-Authenticate": "Bearer" },
    });
  });
  await next();
});

/** One line for each change that an operator made: ids and amounts, never a name, an address or a secret. */
function audit(
  c: Context<AppEnv>,
  action: string,
  fields: Record<string, string | number | boolean | null | undefined>,
): void {
  log("admin_action", { request_id: c.get("requestId"), action, ...fields });
}

admin.use("*", operatorOnly);

admin.post("/users", async (c) => {
  const { email, name = null, account_type: accountType } = await readJson(c, UserBody);
  const user = await createUser(c.env.DB, { email, name, accountType });
  if (!user) throw new ApiError("conflict", "A user with this email exists already.", { param: "email" });
  c.set("userId", user.id);
  audit(c, "create_user", { user_id: user.id, account_type: user.accountType });
  return c.json(renderUser(user), 201);
});

admin.get("/users", async (c) => {
  const { email } = readQuery(c, UserQuery);
  const user = await findUserByEmail(c.env.DB, email);
  return c.json({ object: "list", data: user ? [renderUser(user)] : [] });
});

admin.patch("/users/:id", async (c) => {
  const { name, account_type: accountType } = await readJson(c, UserChange);
  const user = await changeUser(c.env.DB, c.req.param("id"), {
    ...(name === undefined ? {} : { name }),
    ...(accountType === undefined ? {} : { accountType }),
  });
  if (!user) throw notFound();
  c.set("userId", user.id);
  audit(c, "change_user", {
    user_id: user.id,
    account_type: accountType,
    name_changed: name !== undefined,
  });
  return c.json(renderUser(user));
});

admin.post("/users/:id/credits", async (c) => {
  const user = await mustFindUser(c);
  const body = await readJson(c, CreditsBody);
  const outcome = await c.env.ACCOUNT.getByName(user.id).grant(
    body.id ?? newId("grant"),
    body.credits,
    body.expires_at ?? null,
    body.reason ?? null,
  );
  switch (outcome.kind) {
    case "conflict":
      throw new ApiError("conflict", "A grant with this id and other credits or another expires_at exists.", {
        param: "id",
      });
    case "expired":
      throw invalidRequest("expires_at must be in the future.", "expires_at");
    case "granted":
    case "repeated":
      audit(c, "grant_credits", {
        user_id: user.id,
        grant_id: outcome.grant.id,
        credits: outcome.grant.credits,
        expires_at: outcome.grant.expiresAt,
        repeated: outcome.kind === "repeated",
      });
      return c.json(
        {
          grant: renderGrant(outcome.grant),
          balance: { object: "credit_balance", ...renderBalance(outcome.balance, user.accountType) },
        },
        outcome.kind === "granted" ? 201 : 200,
      );
  }
});

admin.get("/users/:id/credits", async (c) => {
  const user = await mustFindUser(c);
  const { limit, cursor } = readQuery(c, EntriesQuery);
  const account = c.env.ACCOUNT.getByName(user.id);
  const { balance, grants, entries, hasMore } = await account.statement(cursor, limit);
  const last = entries.at(-1);
  return c.json({
    balance: { object: "credit_balance", ...renderBalance(balance, user.accountType) },
    grants: grants.map(renderGrant),
    entries: {
      object: "list",
      data: entries.map(renderEntry),
      has_more: hasMore,
      next_cursor: hasMore && last ? btoa(String(last.seq)) : null,
    },
  });
});

admin.post("/users/:id/api_keys", async (c) => {
  const user = await mustFindUser(c);
  const { name, expires_at: expiresAt = null } = await readJson(c, KeyBody);
  const issued = await issueKey(c.env.DB, { id: newId("key"), userId: user.id, name, expiresAt }, Date.now());
  if (issued.kind === "too_many") {
    const message = `A user may have at most ${ACTIVE_KEYS_MAX} active keys. Revoke one first.`;
    throw new ApiError("conflict", message);
  }
  if (issued.kind !== "issued") throw new Error("A new key's id is in use.");
  const { key, secret } = issued;
  audit(c, "create_key", { user_id: user.id, key_id: key.id, expires_at: key.expiresAt });
  return c.json({ ...renderKey(key), api_key: secret }, 201);
});

admin.get("/users/:id/api_keys", async (c) => {
  const user = await mustFindUser(c);
  const { limit, cursor } = readQuery(c, KeysQuery);
  const page = await listKeys(c.env.DB, user.id, { limit, cursor, now: Date.now() });
  return c.json({
    object: "list",
    data: page.keys.map(renderKey),
    has_more: page.next !== null,
    next_cursor: page.next,
  });
});

admin.delete("/api_keys/:id", async (c) => {
  const id = c.req.param("id");
  if (!(await revokeKey(c.env.DB, { id }, Date.now()))) throw notFound();
  audit(c, "revoke_key", { key_id: id });
  return c.body(null, 204);
});

admin.get("/providers", async (c) => {
  const providers = await viewGates(c.env);
  return c.json({ object: "list", data: providers.map(renderProvider) });
});

admin.post("/providers/:name", async (c) => {
  const name = c.req.param("name");
  if (!isGate(name)) throw notFound();
  const { state } = await readJson(c, ProviderChange);
  const provider = await operateGate(c.env, name, state);
  audit(c, "operate_provider", { provider: name, state });
  return c.json(renderProvider(provider));
});

admin.get("/reconcile", (c) => answerReconcile(c, false));
admin.post("/reconcile", (c) => answerReconcile(c, true));

/** GET reports what differs from the book; POST also repairs the log. */
async function answerReconcile(c: Context<AppEnv>, repair: boolean): Promise<Response> {
  const { cursor } = readQuery(c, ReconcileQuery);
  const page = await reconcile(c.env, cursor, repair, Date.now());
  if (repair) audit(c, "repair_log", { from_user_id: cursor?.userId, repaired: page.repaired });
  return c.json(renderReconciliation(page));
}

async function mustFindUser(c: Context<AppEnv, "/users/:id/:rest">): Promise<User> {
  const user = await findUser(c.env.DB, c.req.param("id"));
  if (!user) throw notFound();
  c.set("userId", user.id);
  return user;
}

/** Compares digests, in constant time: nothing of the secret shows in how long a wrong one takes. */
async function sameSecret(presented: string, secret: string): Promise<boolean> {
  const [a, b] = await Promise.all(
    [presented, secret].map((text) => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
  );
  return a !== undefined && b !== undefined && crypto.subtle.timingSafeEqual(a, b);
}
