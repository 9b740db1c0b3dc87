import { describe, expect, it } from "vitest";
import * as z from "zod";
import { contractOf } from "../../src/http/contract.ts";
import { buildDocument } from "../../src/http/openapi/document.ts";
import { handled, routes } from "../../src/http/openapi/routes.ts";
import { call } from "../support/http.ts";

const named = routes.map((route) => [route.id, route] as const);

it("every route for programs has one contract, and no other route has one", () => {
  const keyOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`;
  const answered = handled.filter(({ method }) => method !== "ALL");
  const contracted = handled.filter(({ handler }) => contractOf(handler) !== undefined);
  expect(contracted.map(keyOf).sort()).toEqual([...new Set(answered.map(keyOf))].sort());
});

describe.each(named)("the contract of %s", (_id, { body, answers }) => {
  it("has a body's example that its schema accepts", () => {
    if (body !== undefined) expect(body.schema.safeParse(body.example).error).toBeUndefined();
  });

  it("has an example of every answer in JSON that its schema accepts", () => {
    for (const { schema, example, event } of Object.values(answers)) {
      if (schema !== null) expect(schema.safeParse(example).error).toBeUndefined();
      if (event) expect(event.schema.safeParse(event.example).error).toBeUndefined();
    }
  });
});

it.each(named.filter(([, { security }]) => security !== null))(
  "the contract of %s is enforced: nobody gets an answer without credentials",
  async (_id, { method, path, query }) => {
    const required = query && z.toJSONSchema(query, { io: "input", unrepresentable: "any" }).required;
    const search = required?.includes("email") ? "?email=a@studio.test" : "";
    const answer = await call(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, "x") + search);
    expect(answer.status).toBe(401);
  },
);

describe("the OpenAPI document", () => {
  const Document = z.object({
    servers: z.array(z.object({ url: z.string() })),
    paths: z.record(z.string(), z.record(z.string(), z.unknown())),
  });
  const document = Document.parse(buildDocument());
  const operation = (path: string, method: string) => document.paths[path]?.[method];

  it("has an absolute server", () => {
    expect(document.servers.map(({ url }) => url)).toEqual(["https://{host}"]);
  });

  it.each([
    ["/api/v1/generations", 100, 20],
    ["/api/admin/users/{id}/credits", 100, 20],
    ["/api/admin/users/{id}/api_keys", 200, 200],
  ])(
    "says that the limit of %s is a whole number up to %i, and %i without one",
    (path, maximum, fallback) => {
      expect(operation(path, "get")).toMatchObject({
        parameters: expect.arrayContaining([
          expect.objectContaining({
            name: "limit",
            schema: { type: "integer", minimum: 1, maximum, default: fallback },
          }),
        ]),
      });
    },
  );

  it("names a form first where files are the point", () => {
    const Body = z.object({ requestBody: z.object({ content: z.record(z.string(), z.unknown()) }) });
    const typesOf = (path: string) => Object.keys(Body.parse(operation(path, "post")).requestBody.content);
    expect(typesOf("/openai/v1/images/edits")).toEqual(["multipart/form-data", "application/json"]);
    expect(typesOf("/api/v1/images/generations")).toEqual(["application/json", "multipart/form-data"]);
  });

  it("describes every field of a request", () => {
    for (const { id, query, body } of routes) {
      for (const schema of [query, body?.schema]) {
        const { properties = {} } = schema
          ? z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })
          : {};
        for (const [name, property] of Object.entries(properties)) {
          // In JSON this field is refused: the document has it in forms only.
          if (name === "reference_image") continue;
          expect(property, `${id}: ${name}`).toMatchObject({ description: expect.any(String) });
        }
      }
    }
  });
});
