import type { GenerationRequest } from "../account/lifecycle.ts";
import { chooseFormat, findInvalidOption } from "../catalogue/limits.ts";
import type { Model } from "../catalogue/model.ts";
import { priceCaps } from "../catalogue/models.ts";
import type { OutputFormat } from "../catalogue/options.ts";
import { resolveShape } from "../catalogue/resolve.ts";
import type { Config } from "../config.ts";
import type { CreditLimit } from "../db/schema.ts";
import { type Route, routesFor, routesThatAccept } from "../dispatch/routes.ts";
import { sha256Hex } from "../hash.ts";
import { mayCallInsecureUrls } from "../origin.ts";
import { checkUrl } from "../references/addresses.ts";
import type { ReferenceEntry, ReferenceNames } from "../references/entries.ts";
import { SCENARIO, type TestScenario } from "../scenario.ts";
import type { GenerationInput } from "./input.ts";
import { findOffered, offeredModels } from "./models.ts";

/** The API key that pays for a request, and what it may be used for. */
export type PayingKey = {
  keyId: string;
  /** Ids of models; null: all. */
  models: readonly string[] | null;
  creditLimit: CreditLimit | null;
};

/** The context of a request, beside the client's fields. */
export type RequestContext = {
  userId: string;
  /** Null for the pages. */
  key: PayingKey | null;
  references: readonly ReferenceEntry[];
  /** How error messages name the references. */
  names: ReferenceNames;
  /** Scheme and host for URLs in responses. */
  origin: string;
  /** The scenario of a test key; null for a live key, and for the pages. */
  test: TestScenario | null;
};

/** The requested image, without the references, which may not be fetched yet. */
export type AskedRequest = Omit<GenerationRequest, "references">;

export type PricedRequest = {
  kind: "priced";
  request: AskedRequest;
  /** For all its images. */
  credits: number;
  /** The providers that can serve it, at least one. */
  routes: readonly Route[];
};

/** Why a request cannot be priced. */
export type Unpriced =
  | InvalidField
  /** The key may not use the model. */
  | { kind: "forbidden"; param: string; message: string }
  | { kind: "unavailable" };

export type InvalidField = { kind: "invalid"; param: string; message: string };

/**
 * Validates and prices a request: returns the request to store and its price, or why it cannot be served. It fetches no
 * reference and asks no account. The native API, its estimates, the OpenAI API and the pages all call it.
 */
export async function readRequest(
  input: GenerationInput,
  { userId, key, references, names, origin, test }: RequestContext,
  config: Config,
): Promise<PricedRequest | Unpriced> {
  const badUrl = checkWebhookUrl(input, config);
  if (badUrl) return badUrl;
  const model = findOffered(input.model, config);
  if (!model) return invalid("model", `model must be ${idsOf(offeredModels(config))}.`);
  const allowed = key?.models ?? null;
  if (allowed !== null && !allowed.includes(model.id)) {
    const message = `This API key may not use ${model.id}, only ${allowed.join(" or ")}.`;
    return { kind: "forbidden", param: "model", message };
  }
  if (references.length > model.reference_image_limit) {
    return invalid(names.field, tooManyReferences(model, names.field, config));
  }
  const fault = findInvalidOption(model, input);
  if (fault) return fault;
  const shape = resolveShape(model, input);
  if (shape.kind === "invalid") return shape;
  const outputFormat = readFormat(model, input.output_format, test, config);
  if (typeof outputFormat !== "string") return outputFormat;
  const { aspectRatio, tier, size, renderQuality, n, credits } = shape;
  if (test?.outcome?.kind === "partial" && test.outcome.images >= n)
    return invalid(SCENARIO, `${SCENARIO}: partial must be less than n.`);
  const { max_credits: maxCredits, metadata = {} } = input;
  if (maxCredits !== undefined && credits > maxCredits) {
    return invalid("max_credits", `This takes ${credits} credits, and max_credits is ${maxCredits}.`);
  }
  const request: AskedRequest = {
    model: model.id,
    providerModel: model.provider_model,
    prompt: input.prompt,
    aspectRatio,
    tier,
    prices: priceCaps(model),
    size,
    renderQuality,
    n,
    outputFormat,
    outputCompression: input.output_compression ?? null,
    background: input.background,
    moderation: input.moderation,
    // The provider can group requests by end user, but cannot learn who that is, or whose customer.
    endUser: input.user === undefined ? null : await sha256Hex(`${userId}\n${input.user}`),
    origin,
    ...(input.webhook_url === undefined ? {} : { webhookUrl: input.webhook_url }),
    ...(maxCredits === undefined ? {} : { maxCredits }),
    ...(Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(test === null ? {} : { test: { ...test, credits } }),
  };
  const routes = findRoutes(request, references, config);
  return "kind" in routes ? routes : { kind: "priced", request, credits, routes };
}

function tooManyReferences(model: Model, field: string, config: Config): string {
  const most = model.reference_image_limit;
  if (most > 0) return `${field} may hold at most ${most} images for this model.`;
  const editors = offeredModels(config).filter(({ reference_image_limit }) => reference_image_limit > 0);
  return `${model.id} takes no reference images. Leave ${field} out, or use ${idsOf(editors)}.`;
}

/** The format to ask for. Refuses, before any charge, one that no route of the model makes. */
function readFormat(
  model: Model,
  named: OutputFormat | undefined,
  test: TestScenario | null,
  config: Config,
): OutputFormat | InvalidField {
  const routes = routesFor(model.id, config, test ?? undefined);
  const made = new Set(routes.flatMap(({ provider }) => provider.formats));
  const format = chooseFormat(model, named, [...made]);
  if (format !== undefined) return format;
  const formats = model.supported_output_formats.filter((offered) => made.has(offered));
  const maker = test ? "the built-in provider of test keys" : "this server's provider";
  const rule =
    formats.length === 0
      ? `output_format cannot be ${named} here: leave it out, for ${[...made].join(" or ")}.`
      : `output_format must be one of ${formats.join(", ")}: ${maker} makes no other.`;
  return invalid("output_format", rule);
}

function checkWebhookUrl({ webhook_url: url }: GenerationInput, config: Config): InvalidField | null {
  if (url === undefined) return null;
  const checked = checkUrl(url, mayCallInsecureUrls(config));
  if (checked.kind === "allowed") return null;
  return invalid("webhook_url", `webhook_url ${checked.reason}.`);
}

/**
 * The routes that can serve the request. Refuses, before any charge, one that no configured provider can express. The
 * sizes of references that did not come with the request are known only when it runs.
 */
function findRoutes(
  asked: AskedRequest,
  references: RequestContext["references"],
  config: Config,
): readonly Route[] | InvalidField | { kind: "unavailable" } {
  const configured = routesFor(asked.model, config, asked.test);
  if (configured.length === 0) return { kind: "unavailable" };
  const sizes = references.map((entry) => ({ bytes: entry.kind === "stored" ? entry.reference.bytes : 0 }));
  const routes = routesThatAccept(configured, asked, sizes);
  if (routes.length > 0) return routes;
  const message =
    `model ${asked.model} is served here by a provider that takes fewer options. ` +
    "Leave out size, output_format and background, send fewer or smaller references, or use another model.";
  return invalid("model", message);
}

function idsOf(list: readonly Model[]): string {
  return list.map(({ id }) => id).join(" or ");
}

function invalid(param: string, message: string): InvalidField {
  return { kind: "invalid", param, message };
}
