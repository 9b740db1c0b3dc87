import { createExecutionContext, env, runInDurableObject } from "cloudflare:test";
import { exports } from "cloudflare:workers";
import { vi } from "vitest";
import * as z from "zod";
import worker from "../../src/index.ts";
import { expectDocumented } from "./contract.ts";

export const ORIGIN = "https://hub.test";
export const ADMIN_TOKEN = "test-admin-token-of-32-characters";

/** Bindings and settings that replace the Worker's own. */
export type Settings = Partial<Env> & Record<string, unknown>;

export type CallOptions = {
  key?: string | undefined;
  headers?: Record<string, string>;
  /** Sent as JSON. */
  json?: unknown;
  body?: BodyInit;
  settings?: Settings;
};

/** A response with its body: parsed if it is JSON, otherwise text. */
export type Answer = { status: number; headers: Headers; text: string; body: unknown };

/** Calls the Worker as a client does; with `settings`, calls the app itself with that environment. */
export async function call(method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const answer = await readAnswer(await respond(method, path, options));
  expectDocumented(method, path, answer);
  return answer;
}

/** The same, with the raw response. */
export async function respond(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const { key, json, settings } = options;
  const headers = new Headers(options.headers);
  if (key !== undefined) headers.set("Authorization", `Bearer ${key}`);
  if (json !== undefined && !headers.has("Content-Type")) headers.set("Content-Type", "application/json");
  const body = json === undefined ? options.body : JSON.stringify(json);
  const init = { method, headers, ...(body === undefined ? {} : { body }) };
  const request = new Request(new URL(path, ORIGIN), init);
  if (settings === undefined) return exports.default.fetch(request);
  return worker.fetch(request, { ...env, ...settings }, createExecutionContext());
}

async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const isJson = response.headers.get("Content-Type")?.startsWith("application/json") === true && text !== "";
  const body: unknown = isJson ? JSON.parse(text) : text;
  return { status: response.status, headers: response.headers, text, body };
}

/** A call with the operator's token. */
export function operate(method: string, path: string, json?: unknown): Promise<Answer> {
  return call(method, `/api/admin${path}`, { key: ADMIN_TOKEN, json });
}

export type TestUser = { id: string; email: string; key: string; keyId: string };

let users = 0;

/** A new user with these credits and a key, created through the operator's API. */
export async function newUser(credits = 0, accountType: "FREE" | "PRO" = "FREE"): Promise<TestUser> {
  users += 1;
  const email = `user-${users}-${crypto.randomUUID()}@example.com`;
  const user = z
    .object({ id: z.string() })
    .parse((await operate("POST", "/users", { email, account_type: accountType })).body);
  if (credits > 0) await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits });
  return { id: user.id, email, ...(await newKey(user.id)) };
}

/** A user whose account has its own limits: its environment differs from the Worker's. */
export async function limitedUser(credits: number, limits: Record<string, string>): Promise<TestUser> {
  const user = await newUser(credits);
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (account) => {
    Reflect.set(account, "env", { ...env, ...limits });
  });
  return user;
}

export async function newKey(userId: string, expiresAt?: string): Promise<{ key: string; keyId: string }> {
  const body = { name: "test", ...(expiresAt === undefined ? {} : { expires_at: expiresAt }) };
  const answer = await operate("POST", `/users/${userId}/api_keys`, body);
  const { id, api_key } = z.object({ id: z.string(), api_key: z.string() }).parse(answer.body);
  return { key: api_key, keyId: id };
}

/** A new test key of the user. */
export async function newTestKey(userId: string): Promise<string> {
  const answer = await operate("POST", `/users/${userId}/api_keys`, { name: "test", mode: "test" });
  return z.object({ api_key: z.string() }).parse(answer.body).api_key;
}

/** The user's balance, read through the API. */
export async function creditsOf({ key }: { key: string }): Promise<number> {
  const { body } = await call("GET", "/api/v1/credits", { key });
  return z.object({ credits: z.number() }).parse(body).credits;
}

/** The keys of all stored reference images. */
export async function storedReferences(): Promise<string[]> {
  const { objects } = await env.REFERENCES.list();
  return objects.map((object) => object.key);
}

/** Waits until the probe returns something: the queue and the alarm work in their own time. */
export function eventually<T>(probe: () => T | Promise<T>) {
  return vi.waitUntil(probe, { timeout: 25_000, interval: 50 });
}
