import * as z from "zod";
import type { Answer, Body, HeaderName, Tag } from "../contract.ts";
import { ApiError, type ErrorCode, NativeError } from "../errors.ts";
import { namedSchemas } from "../fields.ts";
import { OpenAIErrorBody, toOpenAIError } from "../openai/errors.ts";
import { REFERENCES_MAX } from "../openai/schemas.ts";
import { type Route, routes } from "./routes.ts";
import { type ObjectSchema, open, requestSchema, withoutPattern } from "./schemas.ts";

/**
 * The OpenAPI 3.1 document: a walk over the contracts of the routes. Runs at build time, and when the reference pages are
 * first read.
 */

type Json = { [member: string]: unknown };

const TAGS: Readonly<Record<Tag, string>> = {
  generations: "Generate images, and read the results.",
  references: "Reference images, uploaded before the generations that use them.",
  webhooks: "Signed calls at the end of a generation, by Standard Webhooks 1.0.0.",
  models: "The available models, with their options and prices.",
  credits: "The credits of an account.",
  openai: "OpenAI's image API. Its clients need another base URL and another key, and nothing else.",
  operator: "Users, credits and keys, for the operator of the service.",
  operations: "Figures, providers, comparisons and repairs, for the operator of the service.",
  images: "The images themselves.",
  service: "The state of the service, and its documents.",
};

const HEADERS: Readonly<Record<HeaderName | "X-Request-Id", string>> = {
  "X-Request-Id": "The id of the request. Include it when you report a problem.",
  Location: "The URL of the generation.",
  "Retry-After": "The seconds to wait before the next request.",
  RateLimit: "What is left of the active limits (draft-ietf-httpapi-ratelimit-headers).",
  "RateLimit-Policy": "The active limits.",
  "Idempotent-Replayed": "`true` when an earlier request created this generation.",
  "Preference-Applied": "The preferences of `Prefer` that were honoured (RFC 7240).",
  "X-Generation-Id": "The id of the generation, as /api/v1/generations has it.",
  "X-Should-Retry": "`false` where a retry cannot succeed.",
  "WWW-Authenticate": "`Bearer`.",
};

const REQUEST_HEADERS = {
  "Idempotency-Key": {
    description:
      "A unique id of the request. A repeated request with the same key within 24 hours returns the same generation and is not charged again.",
    schema: { type: "string", minLength: 1, maxLength: 255 },
    example: "order-1042-cover",
  },
  Prefer: {
    description:
      "`wait=N` (RFC 7240): answer when the generation ends, or as it stands after N seconds. N is 1 to 800 when it is created, and 1 to 60 when it is read. `respond-async` is `async: true`. Other values are ignored.",
    schema: { type: "string" },
    example: "wait=30",
  },
  "X-Stainless-Retry-Count": {
    description:
      "Sent by OpenAI's SDKs. A retry returns the generation of the call that it repeats, and is not charged again.",
    schema: { type: "string", pattern: "^\\d{1,3}$" },
    example: "0",
  },
  "X-Test-Scenario": {
    description:
      "With a test key: the outcome of the generation. `partial=K`: K images come, fewer than `n`. `fail` and `timeout`: 500 `generationFailed`. `refuse`: 400 `contentPolicyViolation`. `insufficient`: 402. `delay=SECONDS`, up to 60, before it; an outcome and a delay are separated by a comma. With a live key it is a 400.",
    schema: { type: "string" },
    example: "delay=5",
  },
};

/** The parameters whose example exists in every installation, so that an imported request works as it is. */
const PATH_EXAMPLES: ReadonlyMap<string, string> = new Map([
  ["/api/v1/models/{id}", "gpt-image-2"],
  ["/openai/v1/models/{id}", "gpt-image-2"],
  ["/api/admin/providers/{name}", "openai"],
]);

/** What an error of each status means, and one of its codes. */
const ERRORS: ReadonlyMap<number, { description: string; code: ErrorCode; message: string; extra?: Json }> =
  new Map([
    [
      400,
      {
        description: "The request is not valid, or the provider refused it under its content policy.",
        code: "invalid_request",
        message: "prompt is required.",
        extra: { param: "prompt" },
      },
    ],
    [
      401,
      {
        description: "The API key is missing, not valid or expired.",
        code: "invalidApiKey",
        message: "This API key is not valid.",
      },
    ],
    [
      402,
      {
        description: "The account has too few credits, or the API key has reached its own limit.",
        code: "insufficientCredits",
        message: "This takes 8 credits and the account has 2.",
        extra: { required: 8, available: 2 },
      },
    ],
    [
      403,
      {
        description: "The API key lacks the scope, or may not use the model.",
        code: "forbidden",
        message: "This API key lacks the scope generate.",
      },
    ],
    [404, { description: "Nothing was found.", code: "notFound", message: "Nothing exists at this URL." }],
    [
      409,
      {
        description: "The object exists already, or its state does not allow the request.",
        code: "conflict",
        message: "A user with this email exists already.",
        extra: { param: "email" },
      },
    ],
    [
      413,
      {
        description: "The body is too large.",
        code: "payloadTooLarge",
        message: "The body is larger than 1048576 bytes.",
      },
    ],
    [
      415,
      {
        description: "The media type of the body is not supported.",
        code: "unsupportedMediaType",
        message: "The body must be application/json.",
      },
    ],
    [
      422,
      {
        description: "The Idempotency-Key was used for another request.",
        code: "idempotencyMismatch",
        message: "This Idempotency-Key was used for another request within the last 24 hours.",
        extra: { param: "Idempotency-Key" },
      },
    ],
    [
      429,
      {
        description: "A limit is reached. Nothing was charged.",
        code: "rateLimited",
        message: "Too many requests. Nothing was charged.",
      },
    ],
    [
      500,
      {
        description:
          "The images could not be generated and the credits were returned, or the service failed.",
        code: "internalError",
        message: "Something went wrong on our side.",
      },
    ],
    [
      503,
      {
        description: "The service cannot take this request now. Nothing was charged.",
        code: "serviceUnavailable",
        message: "The service cannot take this request now. Nothing was charged; please try again.",
      },
    ],
  ]);

/** Where the document is published without a server of its own. */
const SERVER = {
  url: "https://{host}",
  description: "The host of your installation.",
  variables: {
    host: { default: "hub.example.org", description: "Its name, and its port where it has one." },
  },
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
    servers: [SERVER],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: {
        apiKey: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "gih_live_…",
          description: "An API key. Test keys begin with `gih_test_`.",
        },
        operator: { type: "http", scheme: "bearer", description: "The operator's token." },
      },
      headers: Object.fromEntries(
        Object.entries(HEADERS).map(([name, description]) => [
          name,
          { description, schema: { type: "string" } },
        ]),
      ),
      responses: errorResponses(),
      schemas: answerSchemas(),
    },
  };
}

function operationOf(route: Route): Json {
  const { id, summary, description, tag, security, body, image, path } = route;
  const parameters = [
    ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: { type: "string" },
      ...pathExample(path),
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
    ...(image ? { requestBody: imageBody() } : {}),
    responses: responsesOf(route),
  };
}

function pathExample(path: string): Json {
  const example = PATH_EXAMPLES.get(path);
  return example === undefined ? {} : { example };
}

function queryParameters(query: z.ZodType | undefined): Json[] {
  if (query === undefined) return [];
  const { properties = {}, required = [] } = requestSchema(query);
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    required: required.includes(name),
    description,
    schema,
    // `metadata[name]=value`.
    ...(schema["type"] === "object" ? { style: "deepObject", explode: true } : {}),
  }));
}

const IMAGE_FILE = { type: "string", contentMediaType: "application/octet-stream" };

/** One image, as the body or as the file of a form. */
function imageBody(): Json {
  const form = { type: "object", properties: { file: IMAGE_FILE }, required: ["file"] };
  const content = {
    "application/octet-stream": { schema: IMAGE_FILE, example: "(the bytes of lighthouse.png)" },
    "multipart/form-data": { schema: form, example: { file: "(the bytes of lighthouse.png)" } },
  };
  return { required: true, content };
}

/** A form comes first where a file is the point of the request. */
function requestBodyOf({ schema, example, files }: Body): Json {
  const object = requestSchema(schema);
  if (files === undefined)
    return { required: true, content: { "application/json": { schema: object, example } } };
  const { field, required } = files;
  const { [field]: _, ...properties } = object.properties ?? {};
  const asJson = { schema: { ...object, properties }, example };
  const asForm = { schema: formOf(object, files), example: formExample(example, files) };
  const content = required
    ? { "multipart/form-data": asForm, "application/json": asJson }
    : { "application/json": asJson, "multipart/form-data": asForm };
  return { required: true, content };
}

/** The same fields as a form has them: `images` and `reference_images` of JSON are files there. */
function formOf(object: ObjectSchema, { field, required }: NonNullable<Body["files"]>): ObjectSchema {
  const { images: _, reference_images: __, ...properties } = object.properties ?? {};
  return {
    ...object,
    properties: {
      ...properties,
      [field]: {
        type: "array",
        items: IMAGE_FILE,
        maxItems: REFERENCES_MAX,
        description: "PNG, JPEG or WebP, repeatable.",
      },
    },
    required: [...(object.required ?? []).filter((name) => name !== "images"), ...(required ? [field] : [])],
  };
}

function formExample(example: unknown, { field }: NonNullable<Body["files"]>): Json {
  const { images: _, ...fields } = z.looseObject({}).parse(example);
  return { ...fields, [field]: ["(the bytes of lighthouse.png)"] };
}

function responsesOf({ path, answers, errors }: Route): Json {
  const dialect = path.startsWith("/openai/") ? "OpenAI" : "Native";
  const refusals = errors
    .filter((status) => answers[status] === undefined)
    .map((status) => [status, { $ref: `#/components/responses/${dialect}${status}` }]);
  const given = Object.entries(answers).map(([status, answer]) => [status, responseOf(answer)]);
  return Object.fromEntries([...given, ...refusals]);
}

function responseOf({ description, schema, example, mediaType, event, headers = [] }: Answer): Json {
  const content: Json = {};
  if (schema !== null) content["application/json"] = { schema: reference(schema), example };
  if (mediaType !== undefined) content[mediaType] = {};
  if (event) content["text/event-stream"] = { schema: reference(event.schema), example: event.example };
  const body = Object.keys(content).length === 0 ? {} : { content };
  return { description, headers: headersOf(headers), ...body };
}

/** The errors of each status that some route has, in both dialects. */
function errorResponses(): Json {
  const of = (isOpenAI: boolean) =>
    new Set(
      routes.filter(({ path }) => path.startsWith("/openai/") === isOpenAI).flatMap(({ errors }) => errors),
    );
  const responses = [false, true].flatMap((isOpenAI) =>
    [...of(isOpenAI)]
      .sort((a, b) => a - b)
      .map((status) => [`${isOpenAI ? "OpenAI" : "Native"}${status}`, errorResponse(status, isOpenAI)]),
  );
  return Object.fromEntries(responses);
}

function errorResponse(status: number, isOpenAI: boolean): Json {
  const known = ERRORS.get(status);
  if (!known) throw new Error(`No words for errors with status ${status}.`);
  const { description, code, message, extra = {} } = known;
  const { param = null, ...more } = extra;
  const native = { message, code, param, request_id: "req_01KQGQ3RWJ5X9A2F7C4D8E6KMN", ...more };
  const details = { param: typeof param === "string" ? param : null };
  const error = isOpenAI ? toOpenAIError(new ApiError(code, message, details)) : native;
  const schema = reference(isOpenAI ? OpenAIErrorBody : NativeError);
  const headers = headersOf(errorHeaders(status, isOpenAI));
  return { description, headers, content: { "application/json": { schema, example: { error } } } };
}

function errorHeaders(status: number, isOpenAI: boolean): HeaderName[] {
  const retry: HeaderName[] = status === 429 || status === 503 ? ["Retry-After"] : [];
  const challenge: HeaderName[] = status === 401 ? ["WWW-Authenticate"] : [];
  const permanent: HeaderName[] = isOpenAI && status < 429 ? ["X-Should-Retry"] : [];
  return [...retry, ...challenge, ...permanent];
}

function headersOf(names: readonly HeaderName[]): Json {
  return Object.fromEntries(
    ["X-Request-Id", ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}

function reference(schema: z.ZodType): Json {
  const named = namedSchemas.get(schema);
  if (named === undefined) throw new Error("The schema of an answer has no name.");
  return { $ref: `#/components/schemas/${named.id}` };
}

function answerSchemas(): Json {
  const { schemas } = z.toJSONSchema(namedSchemas, {
    unrepresentable: "any",
    override: ({ jsonSchema }) => withoutPattern(jsonSchema),
    uri: (id) => `#/components/schemas/${id}`,
  });
  return Object.fromEntries(
    Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, open(schema)]),
  );
}
