import { admin } from "../admin/routes.ts";
import { app } from "../app.ts";
import { type Contract, contractOf, scopeOf } from "../contract.ts";
import { openai } from "../openai/routes.ts";
import { stripe } from "../stripe.ts";

/**
 * Every route of the APIs with a contract, in the order of their routers: for the document, the pages and the tests.
 */

/** The handlers of the APIs' routers: those with a contract, and middleware. */
export const handled = [app, admin, openai, stripe].flatMap((api) => api.routes);

export type Route = Contract & {
  /** In lower case. */
  method: string;
  /** With parameters as OpenAPI writes them: `/users/{id}`. */
  path: string;
  /** All statuses of errors that the route can answer. */
  errors: readonly number[];
};

export const routes: readonly Route[] = handled.flatMap(({ method, path, handler }) => {
  const contract = contractOf(handler);
  if (!contract) return [];
  return [
    {
      ...contract,
      method: method.toLowerCase(),
      path: path.replaceAll(/:(\w+)/g, "{$1}"),
      errors: errorsOf(contract, method, path),
    },
  ];
});

function errorsOf(
  { security, scope, query, body, image, headers = [], errors = [] }: Contract,
  method: string,
  path: string,
): number[] {
  const statuses = new Set([500, ...errors]);
  const add = (isGiven: boolean, ...more: number[]) => {
    for (const status of isGiven ? more : []) statuses.add(status);
  };
  add(security !== null, 401, 429, 503);
  add(security === "apiKey" && scopeOf(scope, method) !== null, 403);
  // Without a token the operator's routes do not exist.
  add(security === "operator" || path.includes(":"), 404);
  add(query !== undefined || body !== undefined || image === true, 400);
  add(body !== undefined || image === true, 413, 415);
  add(headers.includes("Idempotency-Key"), 422);
  return [...statuses].sort((a, b) => a - b);
}
