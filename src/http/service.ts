import { type Context, Hono } from "hono";
import * as z from "zod";
import { readConfig } from "../config.ts";
import { hasRoutes } from "../dispatch/routes.ts";
import { describe, log } from "../log.ts";
import { withTimeout } from "../time.ts";
import { contract, json } from "./contract.ts";
import type { AppEnv } from "./env.ts";
import { named } from "./fields.ts";

/** What is told of the service itself, to machines. */
export const service = new Hono<AppEnv>();

const CHECK_MS_MAX = 3_000;
/** Whoever asks more often gets what was found before: the checks cost something, and everybody may ask. */
const FRESH_MS = 5_000;

type Health = { status: "ok" | "failing"; checks: Record<string, "ok" | "failing"> };

const found = new WeakMap<object, { at: number; health: Promise<Health> }>();

const HealthAnswer = named("Health", () =>
  z.strictObject({
    status: z.enum(["ok", "failing"]),
    checks: z.record(z.string(), z.enum(["ok", "failing"])),
  }),
);

service.get(
  "/api/health",
  contract({
    id: "getHealth",
    summary: "Check the service and all that it depends on",
    tag: "service",
    security: null,
    answers: {
      200: json("Every check passed.", HealthAnswer, {
        status: "ok",
        checks: { database: "ok", images: "ok", queue: "ok" },
      }),
      503: json("A check failed.", HealthAnswer, {
        status: "failing",
        checks: { database: "failing", images: "ok", queue: "ok" },
      }),
    },
  }),
  async (c) => {
    const known = found.get(c.env);
    const fresh = known !== undefined && Date.now() - known.at < FRESH_MS;
    const health = fresh ? known.health : checkAll(c.env);
    if (!fresh) found.set(c.env, { at: Date.now(), health });
    const { status, checks } = await health;
    return c.json({ status, checks }, status === "ok" ? 200 : 503);
  },
);

service.get(
  "/.well-known/api-catalog",
  contract({
    id: "getApiCatalog",
    summary: "List the APIs and their documents (RFC 9727)",
    tag: "service",
    security: null,
    answers: {
      200: {
        description: "A linkset (RFC 9264).",
        schema: null,
        mediaType: "application/linkset+json",
      },
    },
    errors: [503],
  }),
  (c) => {
    const origin = readConfig(c.env).PUBLIC_BASE_URL ?? new URL(c.req.url).origin;
    const description = [
      { href: `${origin}/openapi.json`, type: "application/vnd.oai.openapi+json;version=3.1" },
    ];
    const linkset = ["/api/v1", "/openai/v1"].map((api) => ({
      anchor: origin + api,
      "service-desc": description,
      "service-meta": [{ href: `${origin}/llms.txt`, type: "text/plain" }],
      status: [{ href: `${origin}/api/health`, type: "application/json" }],
    }));
    return c.body(JSON.stringify({ linkset }), 200, {
      "Content-Type": 'application/linkset+json; profile="https://www.rfc-editor.org/info/rfc9727"',
      Link: `<${origin}/.well-known/api-catalog>; rel="api-catalog"`,
      "Access-Control-Allow-Origin": "*",
    });
  },
);

/** Asks everything that the service leans on for something harmless. The answer names parts, and never says why. */
async function checkAll(env: Context<AppEnv>["env"]): Promise<Health> {
  const checks: Record<string, () => Promise<unknown>> = {
    database: () => env.DB.prepare("SELECT 1").run(),
    log: () => env.LOG.prepare("SELECT 1").run(),
    images: () => env.IMAGES.head("health"),
    references: () => env.REFERENCES.head("health"),
    // Account objects are not asked: each has tables from its first call on, and stays. Runners store nothing.
    objects: async () => await env.GENERATION_RUNNER.getByName("health").stay(),
    queue: async () => mustBe(typeof env.GENERATIONS.send === "function"),
    provider: async () => mustBe(hasRoutes(readConfig(env))),
  };
  const entries = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await verdictOf(name, check)] as const),
  );
  const status = entries.every(([, verdict]) => verdict === "ok") ? "ok" : "failing";
  return { status, checks: Object.fromEntries(entries) };
}

function mustBe(holds: boolean): void {
  if (!holds) throw new Error("It is not configured.");
}

async function verdictOf(name: string, check: () => Promise<unknown>): Promise<"ok" | "failing"> {
  try {
    await withTimeout(CHECK_MS_MAX, check());
    return "ok";
  } catch (error) {
    log("health_failed", { check: name, error: describe(error) });
    return "failing";
  }
}
