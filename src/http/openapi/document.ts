import * as z from "zod";
import * as answers from "./answers.ts";
import { type Body, type HeaderName, type Route, routes, type Tag } from "./routes.ts";

/** The OpenAPI 3.1 document, made of the same schemas that read requests. Runs at build time, and when its reference is first read. */

type Json = { [member: string]: unknown };

const TAGS: Readonly<Record<Tag, string>> = {
  generations: "Making images, and what became of them.",
  models: "What can be asked for, and what it costs.",
  credits: "What is left.",
  openai: "OpenAI's image API: its clients need another base URL and key, and nothing else.",
  operator: "For whoever runs the service.",
  images: "The pictures.",
  service: "The service itself.",
};

/** Schemas that stand in the document once, under their names. */
const NAMED = z.registry<{ id: string }>();
for (const [id, schema] of Object.entries(answers)) {
  if (schema instanceof z.ZodType) NAMED.add(schema, { id });
}

const HEADERS: Readonly<Record<HeaderName | "X-Request-Id", string>> = {
  "X-Request-Id": "The request's id, to be named in a complaint.",
  Location: "Where to look again.",
  "Retry-After": "Seconds after which to look, or try, again.",
  RateLimit: "What is left of the limits that are on (draft-ietf-httpapi-ratelimit-headers).",
  "RateLimit-Policy": "The limits that are on.",
  "Idempotent-Replayed": "`true` when an earlier request made this generation.",
  "X-Generation-Id": "The generation, as /api/v1/generations has it.",
  "X-Should-Retry": "`false` where a retry is of no use.",
  "WWW-Authenticate": "`Bearer`.",
};

const REQUEST_HEADERS = {
  "Idempotency-Key": {
    description: "Names the request for 24 hours: the same again joins what it made, and is not paid twice.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
  },
  "X-Stainless-Retry-Count": {
    description: "Sent by OpenAI's SDKs: a retry joins the generation of the call that it repeats.",
    schema: { type: "string", pattern: "^\\d{1,3}$" },
  },
};

/** What the fields of bodies and queries are for. A name means the same wherever it is sent. */
const FIELDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    model: "A model's id, as the list of models has it.",
    prompt: "What the image is to show.",
    size: "`auto`, as when it is left out, or `WIDTHxHEIGHT`. Its pixels decide the price.",
    quality: "How much care the provider takes; `auto` when it is left out.",
    aspect_ratio: "Instead of `size`: one of the model's ratios.",
    resolution: "Instead of `size`: `1K`, `2K` or `4K`, which is what is priced.",
    n: "How many images, each at the same price; 1 when it is left out.",
    async: "Answer at once, and make the images after that.",
    output_compression: "For `jpeg` and `webp` only.",
    user: "Your id for your own user. Only a hash of it is passed on.",
    response_format:
      "At /openai/v1 `b64_json`, as when it is left out, or `url`. At /api/v1 it is ignored: every image has a `url`.",
    style: "Taken from clients that send it, and ignored.",
    stream: "Answer with server-sent events.",
    images: "What to start from: images as data URLs.",
    cursor: "The `next_cursor` of the page before.",
    status: "Only those that stand so.",
    created_after: "Only those made after this time.",
    created_before: "Only those made before this time.",
    idempotency_key: "Only the one that was made with this key.",
    id: "An id of your own: given twice with the same one, credits are added once.",
    expires_at: "A time in the future; null, or left out, is never.",
    reason: "What its owner reads beside it.",
  }),
);

const ERRORS: Readonly<Record<number, string>> = {
  400: "The request is not valid, or the provider refused it under its content policy.",
  401: "No API key, or one that is not valid or has expired.",
  402: "The credits do not suffice.",
  404: "There is no such thing.",
  409: "It exists already, or has another state.",
  413: "The body is too large.",
  415: "The body has another media type than is taken.",
  422: "The Idempotency-Key was used for another request.",
  429: "A limit is reached. Nothing was charged.",
  500: "The images could not be made, and the credits were returned; or something went wrong on our side.",
  503: "The service cannot take this request now. Nothing was charged.",
};

export function buildDocument(): Json {
  const paths = new Map<string, Json>();
  for (const route of routes) {
    paths.set(route.path, { ...paths.get(route.path), [route.method]: operationOf(route) });
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "GPT Image Hub",
      version: "1.0.0",
      summary: "Images from text, by API key and prepaid credits.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "Where this document was found." }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: {
        apiKey: { type: "http", scheme: "bearer", bearerFormat: "gih_live_…", description: "An API key." },
        operator: { type: "http", scheme: "bearer", description: "The operator's token." },
      },
      headers: Object.fromEntries(
        Object.entries(HEADERS).map(([name, description]) => [
          name,
          { description, schema: { type: "string" } },
        ]),
      ),
      responses: refusalResponses(),
      schemas: namedSchemas(),
    },
  };
}

function operationOf(route: Route): Json {
  const { id, summary, description, tag, security, body, path } = route;
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
    })),
    ...queryParameters(route.query),
    ...(route.headers ?? []).map((name) => ({ name, in: "header", ...REQUEST_HEADERS[name] })),
  ];
  return {
    operationId: id,
    summary,
    ...(description === undefined ? {} : { description }),
    tags: [tag],
    security: security === null ? [] : [{ [security]: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: requestBodyOf(body) }),
    responses: responsesOf(route),
  };
}

function queryParameters(query: z.ZodType | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = inputSchema(query);
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function requestBodyOf({ schema, files }: Body): Json {
  const object = inputSchema(schema);
  const content: Json = { "application/json": { schema: withoutFiles(object, files?.field) } };
  if (files !== undefined) content["multipart/form-data"] = { schema: formOf(object, files) };
  return { required: true, content };
}

function withoutFiles(object: ObjectSchema, field: string | undefined): ObjectSchema {
  if (field === undefined) return object;
  const { [field]: _, ...properties } = object.properties ?? {};
  return { ...object, properties };
}

/** The same fields as a form has them: `images` of JSON are files there. */
function formOf(
  object: ObjectSchema,
  { field, required }: { field: string; required: boolean },
): ObjectSchema {
  const { images: _, ...properties } = object.properties ?? {};
  const file = { type: "string", contentMediaType: "application/octet-stream" };
  return {
    ...object,
    properties: {
      ...properties,
      [field]: { type: "array", items: file, maxItems: 16, description: "PNG, JPEG or WebP, repeatable." },
    },
    required: [...(object.required ?? []).filter((name) => name !== "images"), ...(required ? [field] : [])],
  };
}

function responsesOf({ path, answers: given, errors }: Route): Json {
  const isOpenAI = path.startsWith("/openai/");
  const dialect = isOpenAI ? "OpenAI" : "Native";
  const refusals = errors
    .filter((status) => given[status] === undefined)
    .map((status) => [status, { $ref: `#/components/responses/${dialect}${status}` }]);
  const successes = Object.entries(given).map(
    ([status, { description, schema, mediaType, headers = [] }]) => {
      const content: Json = {};
      if (schema !== null) content["application/json"] = { schema: reference(schema) };
      if (mediaType !== undefined) content[mediaType] = {};
      if (schema === answers.OpenAIImages) {
        content["text/event-stream"] = { schema: reference(answers.OpenAIImageEvent) };
      }
      const body = Object.keys(content).length === 0 ? {} : { content };
      return [status, { description, headers: headersOf(headers), ...body }];
    },
  );
  return Object.fromEntries([...successes, ...refusals]);
}

/** What a refusal of each status looks like, in both dialects. */
function refusalResponses(): Json {
  const dialects = [
    ["Native", false, answers.NativeError],
    ["OpenAI", true, answers.OpenAIErrorBody],
  ] as const;
  return Object.fromEntries(
    dialects.flatMap(([dialect, isOpenAI, error]) =>
      statusesOf(isOpenAI).map(([status, description]) => {
        const headers = headersOf(refusalHeaders(Number(status), isOpenAI));
        const content = { "application/json": { schema: reference(error) } };
        return [`${dialect}${status}`, { description, headers, content }];
      }),
    ),
  );
}

/** Those that some route has. */
function statusesOf(isOpenAI: boolean): [string, string][] {
  const used = routes.filter(({ path }) => path.startsWith("/openai/") === isOpenAI);
  const statuses = new Set(used.flatMap(({ errors }) => errors.map(String)));
  return Object.entries(ERRORS).filter(([status]) => statuses.has(status));
}

function refusalHeaders(status: number, isOpenAI: boolean): HeaderName[] {
  const retry: HeaderName[] = status === 429 || status === 503 ? ["Retry-After"] : [];
  const challenge: HeaderName[] = status === 401 ? ["WWW-Authenticate"] : [];
  const mendable: HeaderName[] = isOpenAI && status < 429 ? ["X-Should-Retry"] : [];
  return [...retry, ...challenge, ...mendable];
}

function headersOf(names: readonly HeaderName[]): Json {
  return Object.fromEntries(
    ["X-Request-Id", ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}

type ObjectSchema = { properties?: Record<string, unknown>; required?: string[]; [member: string]: unknown };

function inputSchema(schema: z.ZodType): ObjectSchema {
  const { $schema: _, ...object } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  const { properties, required, ...rest } = object;
  return {
    ...rest,
    ...(properties === undefined ? {} : { properties: withDescriptions(properties) }),
    ...(required === undefined ? {} : { required }),
  };
}

function withDescriptions(properties: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(properties).map(([name, property]) => {
      const description = FIELDS.get(name);
      const bare = description === undefined || typeof property !== "object";
      return [name, bare ? property : { ...property, description }];
    }),
  );
}

function reference(schema: z.ZodType): Json {
  const named = NAMED.get(schema);
  if (named === undefined) throw new Error("An answer's schema is not exported, and so has no name.");
  return { $ref: `#/components/schemas/${named.id}` };
}

function namedSchemas(): Json {
  const { schemas } = z.toJSONSchema(NAMED, {
    unrepresentable: "any",
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, open(schema)]),
  );
}

/** Lets answers have members to come: what is documented stays, what is added breaks nobody. */
function open(schema: object): Json {
  const members = Object.entries(schema).filter(
    ([name, value]) => name !== "additionalProperties" || value !== false,
  );
  return Object.fromEntries(members.map(([name, value]) => [name, openValue(value)]));
}

function openValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(openValue);
  return typeof value === "object" && value !== null ? open(value) : value;
}
