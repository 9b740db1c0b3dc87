import type * as z from "zod";
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
} from "../admin/schemas.ts";
import { CreateImageBody, EditImageBody } from "../openai/schemas.ts";
import { GenerationBody, GenerationsQuery } from "../v1/schemas.ts";
import * as answers from "./answers.ts";

/** Every route of the service, for the document and for the tests: a route that is not here fails one. */

export type Tag = "generations" | "models" | "credits" | "openai" | "operator" | "images" | "service";

export type Body = {
  schema: z.ZodType;
  /** The field of a form that carries files; without one the body is JSON only. */
  files?: { field: string; required: boolean };
  json?: boolean;
};

type Answer = {
  description: string;
  /** Null where the body is not JSON. */
  schema: z.ZodType | null;
  mediaType?: string;
  headers?: readonly HeaderName[];
};

export type HeaderName =
  | "Location"
  | "Retry-After"
  | "RateLimit"
  | "RateLimit-Policy"
  | "Idempotent-Replayed"
  | "X-Generation-Id"
  | "X-Should-Retry"
  | "WWW-Authenticate";

export type Route = {
  method: "get" | "post" | "patch" | "delete";
  path: string;
  id: string;
  summary: string;
  description?: string;
  tag: Tag;
  security: "apiKey" | "operator" | null;
  query?: z.ZodType;
  /** Headers that the request may have. */
  headers?: readonly ("Idempotency-Key" | "X-Stainless-Retry-Count")[];
  body?: Body;
  answers: Readonly<Record<number, Answer>>;
  /** Refusals, in the dialect of the route. */
  errors: readonly number[];
};

const json = (description: string, schema: z.ZodType, headers: readonly HeaderName[] = []): Answer => ({
  description,
  schema,
  headers,
});

const LIMITS: readonly HeaderName[] = ["RateLimit", "RateLimit-Policy", "Idempotent-Replayed"];
const READ = [400, 401, 404, 429, 500, 503];
const SUBMIT = [400, 401, 402, 413, 415, 422, 429, 500, 503];
const OPERATE = [400, 401, 404, 429, 500, 503];
const WRITE = [...OPERATE, 413, 415];

const images = json("The images, in base64.", answers.OpenAIImages, ["X-Generation-Id", ...LIMITS]);

export const routes: readonly Route[] = [
  {
    method: "post",
    path: "/api/v1/images/generations",
    id: "createGeneration",
    summary: "Make images",
    description:
      "Charges, has the images made, and waits for them; with `async: true` it answers at once. What is not delivered is refunded.",
    tag: "generations",
    security: "apiKey",
    headers: ["Idempotency-Key"],
    body: { schema: GenerationBody, files: { field: "reference_image", required: false }, json: true },
    answers: {
      200: json("The generation, ended.", answers.GenerationWithBalance, LIMITS),
      202: json("The generation, not ended yet.", answers.Generation, ["Location", "Retry-After", ...LIMITS]),
    },
    errors: SUBMIT,
  },
  {
    method: "get",
    path: "/api/v1/generations",
    id: "listGenerations",
    summary: "List generations, newest first",
    tag: "generations",
    security: "apiKey",
    query: GenerationsQuery,
    answers: { 200: json("A page of generations.", answers.GenerationPage) },
    errors: READ,
  },
  {
    method: "get",
    path: "/api/v1/generations/{id}",
    id: "getGeneration",
    summary: "Show a generation",
    tag: "generations",
    security: "apiKey",
    answers: { 200: json("The generation as it stands.", answers.Generation, ["Retry-After"]) },
    errors: READ,
  },
  {
    method: "get",
    path: "/api/v1/models",
    id: "listModels",
    summary: "List models",
    tag: "models",
    security: null,
    answers: { 200: json("All models.", answers.ModelList) },
    errors: [500],
  },
  {
    method: "get",
    path: "/api/v1/models/{id}",
    id: "getModel",
    summary: "Show a model",
    tag: "models",
    security: null,
    answers: { 200: json("The model.", answers.Model) },
    errors: [404, 500],
  },
  {
    method: "get",
    path: "/api/v1/credits",
    id: "getCredits",
    summary: "Show the balance",
    tag: "credits",
    security: "apiKey",
    answers: { 200: json("The balance, as of now.", answers.CreditBalance) },
    errors: [401, 429, 500, 503],
  },
  {
    method: "post",
    path: "/openai/v1/images/generations",
    id: "openaiCreateImage",
    summary: "Make images, in OpenAI's dialect",
    description:
      "With `stream: true` the answer is server-sent events: one `image_generation.completed` an image.",
    tag: "openai",
    security: "apiKey",
    headers: ["Idempotency-Key", "X-Stainless-Retry-Count"],
    body: { schema: CreateImageBody, json: true },
    answers: { 200: images },
    errors: [...SUBMIT, 404],
  },
  {
    method: "post",
    path: "/openai/v1/images/edits",
    id: "openaiEditImage",
    summary: "Make images after others, in OpenAI's dialect",
    description:
      "A form with files, or JSON with data URLs in base64: up to 16 images of 50 MB each. With `stream: true` the answer is server-sent events: one `image_edit.completed` an image.",
    tag: "openai",
    security: "apiKey",
    headers: ["Idempotency-Key", "X-Stainless-Retry-Count"],
    body: { schema: EditImageBody, files: { field: "image", required: true }, json: true },
    answers: { 200: images },
    errors: [...SUBMIT, 404],
  },
  {
    method: "get",
    path: "/openai/v1/models",
    id: "openaiListModels",
    summary: "List models, in OpenAI's dialect",
    tag: "openai",
    security: "apiKey",
    answers: { 200: json("All models.", answers.OpenAIModelList) },
    errors: [401, 429, 500, 503],
  },
  {
    method: "get",
    path: "/openai/v1/models/{id}",
    id: "openaiGetModel",
    summary: "Show a model, in OpenAI's dialect",
    tag: "openai",
    security: "apiKey",
    answers: { 200: json("The model.", answers.OpenAIModel) },
    errors: [401, 404, 429, 500, 503],
  },
  {
    method: "post",
    path: "/api/admin/users",
    id: "createUser",
    summary: "Make a user",
    tag: "operator",
    security: "operator",
    body: { schema: UserBody, json: true },
    answers: { 201: json("The user.", answers.User) },
    errors: [...WRITE, 409],
  },
  {
    method: "get",
    path: "/api/admin/users",
    id: "findUser",
    summary: "Find a user by email",
    tag: "operator",
    security: "operator",
    query: UserQuery,
    answers: { 200: json("The user, or none.", answers.UserList) },
    errors: OPERATE,
  },
  {
    method: "patch",
    path: "/api/admin/users/{id}",
    id: "updateUser",
    summary: "Change a user",
    tag: "operator",
    security: "operator",
    body: { schema: UserChange, json: true },
    answers: { 200: json("The user, changed.", answers.User) },
    errors: WRITE,
  },
  {
    method: "post",
    path: "/api/admin/users/{id}/credits",
    id: "grantCredits",
    summary: "Give credits",
    description: "The same `id` with the same credits again gives nothing more.",
    tag: "operator",
    security: "operator",
    body: { schema: CreditsBody, json: true },
    answers: {
      200: json("Given before.", answers.Granted),
      201: json("Given.", answers.Granted),
    },
    errors: [...WRITE, 409],
  },
  {
    method: "get",
    path: "/api/admin/users/{id}/credits",
    id: "getStatement",
    summary: "Show a user's balance, grants and entries",
    tag: "operator",
    security: "operator",
    query: EntriesQuery,
    answers: { 200: json("The statement.", answers.Statement) },
    errors: OPERATE,
  },
  {
    method: "post",
    path: "/api/admin/users/{id}/api_keys",
    id: "issueApiKey",
    summary: "Issue an API key",
    tag: "operator",
    security: "operator",
    body: { schema: KeyBody, json: true },
    answers: { 201: json("The key, shown this once.", answers.IssuedApiKey) },
    errors: WRITE,
  },
  {
    method: "get",
    path: "/api/admin/users/{id}/api_keys",
    id: "listApiKeys",
    summary: "List a user's API keys",
    tag: "operator",
    security: "operator",
    query: KeysQuery,
    answers: { 200: json("The keys without their secrets, live ones first.", answers.ApiKeyList) },
    errors: OPERATE,
  },
  {
    method: "delete",
    path: "/api/admin/api_keys/{id}",
    id: "revokeApiKey",
    summary: "Revoke an API key",
    tag: "operator",
    security: "operator",
    answers: { 204: { description: "Revoked: refused from the next request on.", schema: null } },
    errors: OPERATE,
  },
  {
    method: "get",
    path: "/api/admin/providers",
    id: "listProviders",
    summary: "List the providers' gates",
    description: "Each with its circuit breaker, its limits, and the work that waits for it.",
    tag: "operator",
    security: "operator",
    answers: { 200: json("The gates.", answers.ProviderList) },
    errors: OPERATE,
  },
  {
    method: "post",
    path: "/api/admin/providers/{name}",
    id: "operateProvider",
    summary: "Open or close a provider's circuit breaker by hand",
    description:
      "`open` stops all calls of the provider, `closed` lets all through, `auto` leaves it to the breaker.",
    tag: "operator",
    security: "operator",
    body: { schema: ProviderChange, json: true },
    answers: { 200: json("The gate.", answers.Provider) },
    errors: WRITE,
  },
  {
    method: "get",
    path: "/api/admin/reconcile",
    id: "compareLog",
    summary: "Compare the log with the books",
    tag: "operator",
    security: "operator",
    query: ReconcileQuery,
    answers: { 200: json("What differs.", answers.Reconciliation) },
    errors: OPERATE,
  },
  {
    method: "post",
    path: "/api/admin/reconcile",
    id: "repairLog",
    summary: "Compare the log with the books, and repair it",
    tag: "operator",
    security: "operator",
    query: ReconcileQuery,
    answers: { 200: json("What differed.", answers.Reconciliation) },
    errors: OPERATE,
  },
  {
    method: "get",
    path: "/images/{generation}/{file}",
    id: "getImage",
    summary: "Read an image",
    description: "Honours HEAD, Range, If-None-Match and If-Modified-Since.",
    tag: "images",
    security: null,
    answers: {
      200: { description: "The image.", schema: null, mediaType: "image/*" },
      206: { description: "The range of it that was asked for.", schema: null, mediaType: "image/*" },
      304: { description: "Not modified.", schema: null },
      416: { description: "No such range.", schema: null },
    },
    errors: [404, 500],
  },
  {
    method: "get",
    path: "/api/health",
    id: "getHealth",
    summary: "Whether the service and all that it leans on answers",
    tag: "service",
    security: null,
    answers: {
      200: json("All of it does.", answers.Health),
      503: json("Something does not.", answers.Health),
    },
    errors: [500],
  },
  {
    method: "get",
    path: "/.well-known/api-catalog",
    id: "getApiCatalog",
    summary: "Where the APIs and their documents are (RFC 9727)",
    tag: "service",
    security: null,
    answers: { 200: { description: "A linkset.", schema: null, mediaType: "application/linkset+json" } },
    errors: [500],
  },
];
