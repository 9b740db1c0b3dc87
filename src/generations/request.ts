import type { GenerationRequest } from "../account/lifecycle.ts";
import { findModel, models } from "../catalogue/models.ts";
import { resolveShape } from "../catalogue/resolve.ts";
import { sha256Hex } from "../hash.ts";
import type { ReferenceEntry, ReferenceNames } from "../references/entries.ts";
import { SCENARIO, type TestScenario } from "../scenario.ts";
import type { GenerationInput } from "./input.ts";

/** The context of a request, beside the client's fields. */
export type RequestContext = {
  userId: string;
  references: readonly ReferenceEntry[];
  /** How error messages name them. */
  names: ReferenceNames;
  /** Scheme and host for URLs in responses. */
  origin: string;
  /** What a test key asks for; null for a live key, and for the pages. */
  test: TestScenario | null;
};

/** What is asked for, without the references, which may have yet to be fetched. */
export type AskedRequest = Omit<GenerationRequest, "references">;

export type PricedRequest = { kind: "priced"; request: AskedRequest; credits: number };

export type InvalidField = { kind: "invalid"; param: string; message: string };

/**
 * Validates and prices a request: returns the request to store and its price, or the invalid field. The native API, the
 * OpenAI API and the pages all call it.
 */
export async function readRequest(
  input: GenerationInput,
  { userId, references, names, origin, test }: RequestContext,
): Promise<PricedRequest | InvalidField> {
  const model = findModel(input.model);
  if (!model) return invalid("model", `model must be ${models.map(({ id }) => id).join(" or ")}.`);
  if (references.length > model.reference_image_limit) {
    const message = `${names.field} may hold at most ${model.reference_image_limit} images for this model.`;
    return invalid(names.field, message);
  }
  const shape = resolveShape(model, input);
  if (shape.kind === "invalid") return shape;
  const { aspectRatio, tier, size, renderQuality, n, credits } = shape;
  if (test?.outcome?.kind === "partial" && test.outcome.images >= n)
    return invalid(SCENARIO, `${SCENARIO}: partial must be less than n.`);
  const request: AskedRequest = {
    model: model.id,
    providerModel: model.provider_model,
    prompt: input.prompt,
    aspectRatio,
    tier,
    prices: model.credits,
    size,
    renderQuality,
    n,
    outputFormat: input.output_format,
    outputCompression: input.output_compression ?? null,
    background: input.background,
    moderation: input.moderation,
    // The provider can group requests by end user, but cannot learn who that is, or whose customer.
    endUser: input.user === undefined ? null : await sha256Hex(`${userId}\n${input.user}`),
    origin,
    ...(input.webhook_url === undefined ? {} : { webhookUrl: input.webhook_url }),
    ...(test === null ? {} : { test: { ...test, credits } }),
  };
  return { kind: "priced", request, credits };
}

function invalid(param: string, message: string): InvalidField {
  return { kind: "invalid", param, message };
}
