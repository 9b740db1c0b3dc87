import { expect } from "vitest";
import * as z from "zod";
import { NativeError } from "../../src/http/errors.ts";
import { OpenAIErrorBody } from "../../src/http/openai/errors.ts";
import { type Route, routes } from "../../src/http/openapi/routes.ts";
import { pathOf } from "../../src/http/paths.ts";

type Answer = { status: number; headers: Headers; body: unknown };

/**
 * Checks a response against the OpenAPI document: the route has its status, and its body has exactly the members that
 * the document names. A path without a route has the errors of its API.
 */
export function expectDocumented(method: string, path: string, answer: Answer): void {
  const pathname = pathOf(new Request(new URL(path, "https://hub.test")));
  const route = routes.find((known) => known.method === wordOf(method) && patternOf(known).test(pathname));
  const refusal = pathname.startsWith("/openai/") ? OpenAIErrorBody : NativeError;
  const documented = route?.answers[answer.status];
  const where = `${method} ${pathname} answered ${answer.status}`;
  if (documented === undefined) {
    const refusals = route?.errors ?? [401, 404, 405];
    expect(refusals, `${where}, which is not documented`).toContain(answer.status);
  }
  const schema = documented === undefined ? refusal : documented.schema;
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json") === true;
  if (schema === null || method === "HEAD" || !isJson) return;
  const { error } = schema.safeParse(answer.body);
  if (error) throw new Error(`${where}, but not as documented: ${z.prettifyError(error)}`);
}

function wordOf(method: string): string {
  return method === "HEAD" ? "get" : method.toLowerCase();
}

function patternOf({ path }: Route): RegExp {
  return new RegExp(`^${path.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
}
