import { type Context, Hono } from "hono";
import * as z from "zod";
import { readConfig } from "../config.ts";
import { viewGates } from "../dispatch/client.ts";
import { configuredGates, hasRoutes, routesFor } from "../dispatch/routes.ts";
import { offeredModels } from "../generations/models.ts";
import { askLog } from "../generations/read.ts";
import { describe, log } from "../log.ts";
import { withTimeout } from "../time.ts";
import { booksBalance } from "../watch/sample.ts";
import { contract, json } from "./contract.ts";
import type { AppEnv } from "./env.ts";
import { named } from "./fields.ts";

/** Routes about the service itself, for machines: health and the OpenAPI document. */
export const service = new Hono<AppEnv>();

const CHECK_MS_MAX = 3_000;
/** More frequent requests get the cached result: the checks cost something, and the route is public. */
const FRESH_MS = 5_000;

type Health = { status: "ok" | "degraded" | "failing"; checks: Record<string, "ok" | "failing"> };

const found = new WeakMap<object, { at: number; health: Promise<Health> }>();

const HealthAnswer = named("Health", () =>
  z.strictObject({
    status: z.enum(["ok", "degraded", "failing"]).meta({
      description:
        "`degraded`: the service works, but `circuits` (a provider is down, or a model has none) or `books` (a ledger " +
        "differs from the log) is failing. `failing`: another check is.",
    }),
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
      200: json("The service works. It may be degraded.", HealthAnswer, {
        status: "degraded",
        checks: { database: "ok", images: "ok", queue: "ok", circuits: "failing", books: "ok" },
      }),
      503: json("Something that the service needs is failing.", HealthAnswer, {
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
    return c.json({ status, checks }, status === "failing" ? 503 : 200);
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

type Checks = Readonly<Record<string, () => Promise<unknown>>>;

/** Makes a harmless call to each dependency of the service. The response names the parts, and never a reason. */
async function checkAll(env: Context<AppEnv>["env"]): Promise<Health> {
  const [needed, others] = await Promise.all([
    verdictsOf({
      database: () => env.DB.prepare("SELECT 1").run(),
      log: () => askLog(env),
      images: () => env.IMAGES.head("health"),
      references: () => env.REFERENCES.head("health"),
      // Account objects are not checked: the first call to one creates its tables for good. Runners store nothing.
      objects: async () => await env.GENERATION_RUNNER.getByName("health").stay(),
      queue: async () => mustBe(typeof env.GENERATIONS.send === "function"),
      provider: async () => mustBe(hasRoutes(readConfig(env))),
    }),
    verdictsOf({
      circuits: () => checkCircuits(env),
      books: async () => mustBe(await booksBalance(env.DB)),
    }),
  ]);
  const isOk = (entries: typeof needed) => entries.every(([, verdict]) => verdict === "ok");
  const working = isOk(others) ? "ok" : "degraded";
  return { status: isOk(needed) ? working : "failing", checks: Object.fromEntries([...needed, ...others]) };
}

async function verdictsOf(checks: Checks) {
  return await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await verdictOf(name, check)] as const),
  );
}

/** @throws when a model that is offered has no route, or the circuit of a configured provider is open */
async function checkCircuits(env: Env): Promise<void> {
  const config = readConfig(env);
  mustBe(offeredModels(config).every(({ id }) => routesFor(id, config).length > 0));
  for (const { name, state } of await viewGates(env, configuredGates(config)))
    if (state === "open") throw new Error(`The circuit of ${name} is open.`);
}

function mustBe(holds: boolean): void {
  if (!holds) throw new Error("It is not as it must be.");
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
