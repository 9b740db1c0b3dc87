import { zValidator } from "@hono/zod-validator";
import type { MiddlewareHandler } from "hono";
import { createMiddleware } from "hono/factory";
import type * as z from "zod";
import { readConfig } from "../config.ts";
import type { KeyScope } from "../keys/terms.ts";
import { SCENARIO } from "../scenario.ts";
import { authenticate, requireScope } from "./authenticate.ts";
import { isJson, readJsonText, refuseInvalid, refuseRepeatedParameters, validateWithInput } from "./body.ts";
import type { AppEnv } from "./env.ts";
import { readIdempotencyKey, readTestScenario } from "./submission.ts";

/**
 * The contract of a route, declared beside its handler as the handler's first middleware:
 *
 *     credits.get("/credits", contract({ id: "getCredits", … }), async (c) => …);
 *
 * It authenticates the caller and validates the request before the handler runs. The OpenAPI document, the reference
 * pages and the tests read the same contracts: see `openapi/routes.ts`.
 */

export type Tag =
  | "generations"
  | "references"
  | "webhooks"
  | "models"
  | "credits"
  | "openai"
  | "operator"
  | "operations"
  | "images"
  | "service";

/** The body of a request. Its schema describes each field, with `.meta({ description })`. */
export type Body<Schema extends z.ZodType = z.ZodType> = {
  schema: Schema;
  example: z.input<Schema>;
  /**
   * The field of a form that carries files. The handler reads the form itself, as a stream. JSON is read and validated
   * by the contract: `c.req.valid("json")`.
   */
  files?: { field: string; required: boolean };
  /** Whether JSON may carry images as data URLs. The handler then reads all JSON itself, as a stream. */
  dataUrls?: true;
};

export type Answer = {
  description: string;
  /** Null where the body is not JSON. */
  schema: z.ZodType | null;
  example?: unknown;
  /** The media type of a body that is not JSON. */
  mediaType?: string;
  /** One server-sent event of the answer, where the request asks for a stream. */
  event?: { schema: z.ZodType; example: unknown };
  headers?: readonly HeaderName[];
};

export type HeaderName =
  | "Location"
  | "Retry-After"
  | "RateLimit"
  | "RateLimit-Policy"
  | "Idempotent-Replayed"
  | "Preference-Applied"
  | "X-Generation-Id"
  | "X-Should-Retry"
  | "WWW-Authenticate";

/** The headers of every answer that accepted a generation. */
export const GENERATION_HEADERS: readonly HeaderName[] = [
  "RateLimit",
  "RateLimit-Policy",
  "Idempotent-Replayed",
];

export type Contract = {
  /** The operation's id in the OpenAPI document. */
  id: string;
  summary: string;
  description?: string;
  tag: Tag;
  /** Who may call. The operator's token is checked for all of `/api/admin` at once. */
  security: "apiKey" | "operator" | null;
  /** The scope that the key must have. Left out: `read` for GET, `generate` for all else; null: none. */
  scope?: KeyScope | null;
  /** Validated before the key is looked up: `c.req.valid("query")`. */
  query?: z.ZodType;
  headers?: readonly ("Idempotency-Key" | "Prefer" | "X-Stainless-Retry-Count" | "X-Test-Scenario")[];
  body?: Body;
  /**
   * Whether the account does not count such requests, though they have a body. The platform then limits them as reads.
   */
  isUncounted?: true;
  /** Whether the body is one image, as it is or in a form. The handler reads it as a stream. */
  image?: true;
  answers: Readonly<Record<number, Answer>>;
  /** Statuses of errors beside those that follow from the rest of the contract: see `openapi/routes.ts`. */
  errors?: readonly number[];
};

type Validated<Query extends z.ZodType, Json extends z.ZodType> = {
  out: { query: z.output<Query>; json: z.output<Json> };
};

const contracts = new WeakMap<object, Contract>();

/** The contract that a handler of the router was made from, if it was. */
export function contractOf(handler: object): Contract | undefined {
  return contracts.get(handler);
}

/** An answer in JSON. */
export function json<Schema extends z.ZodType>(
  description: string,
  schema: Schema,
  example: z.input<Schema>,
  headers: readonly HeaderName[] = [],
): Answer {
  return { description, schema, example, headers };
}

/**
 * Enforces a contract on requests. In this order: the query, the API key, the idempotency key, the test scenario, the
 * JSON body.
 * @throws {ApiError} from the middleware: 400, 401, 413, 415, 429 or 503
 */
export function contract<Query extends z.ZodType = z.ZodType, Json extends z.ZodType = z.ZodType>(
  given: Omit<Contract, "query" | "body"> & { query?: Query; body?: Body<Json> },
): MiddlewareHandler<AppEnv, string, Validated<Query, Json>> {
  const { query, body, headers = [] } = given;
  const checkQuery = query && validator("query", query);
  const checkJson = body && body.dataUrls !== true && validator("json", body.schema);
  const authenticates = given.security === "apiKey";
  // The account counts the requests that create something: generations and references.
  const isCounted = (body !== undefined || given.image === true) && given.isUncounted !== true;
  const enforce = createMiddleware<AppEnv>(async (c, next) => {
    if (checkQuery) {
      refuseRepeatedParameters(c.req.url);
      await checkQuery(c, nothing);
    }
    if (authenticates) {
      const caller = await authenticate(c, isCounted);
      c.set("caller", caller);
      const scope = scopeOf(given.scope, c.req.method);
      if (scope !== null) requireScope(caller, scope);
    }
    // A server that is not configured answers 503 before it reads a body.
    if (body) readConfig(c.env);
    if (headers.includes("Idempotency-Key")) readIdempotencyKey(c);
    if (headers.includes(SCENARIO)) readTestScenario(c);
    if (checkJson && (!body.files || isJson(c))) {
      // Hono's own body limit passes its body on in the same way.
      c.req.raw = new Request(c.req.raw, { body: await readJsonText(c) });
      await checkJson(c, nothing);
    }
    await next();
  });
  contracts.set(enforce, given);
  return enforce;
}

/** The scope that a request needs, or null. */
export function scopeOf(scope: Contract["scope"], method: string): KeyScope | null {
  return scope === undefined ? (/^(get|head)$/i.test(method) ? "read" : "generate") : scope;
}

function validator(target: "query" | "json", schema: z.ZodType): MiddlewareHandler<AppEnv> {
  return zValidator(target, schema, refuseInvalid, { validationFunction: validateWithInput });
}

async function nothing(): Promise<void> {}
