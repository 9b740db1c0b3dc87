import type { GenerationRequest } from "../account/lifecycle.ts";
import { findModel, models } from "../catalogue/models.ts";
import { resolveShape } from "../catalogue/resolve.ts";
import { sha256Hex } from "../hash.ts";
import type { GenerationInput } from "./input.ts";

/** The context of a request, beside the client's fields. */
export type RequestContext = {
  userId: string;
  references: GenerationRequest["references"];
  /** The field that carried the references, for error messages. */
  referenceField: string;
  /** Scheme and host for URLs in responses. */
  origin: string;
};

export type PricedRequest = { kind: "priced"; request: GenerationRequest; credits: number };

export type InvalidField = { kind: "invalid"; param: string; message: string };

/**
 * Validates and prices a request: returns the request to store and its price, or the invalid field. The native API, the
 * OpenAI API and the pages all call it.
 */
export async function readRequest(
  input: GenerationInput,
  { userId, references, referenceField, origin }: RequestContext,
): Promise<PricedRequest | InvalidField> {
  const model = findModel(input.model);
  if (!model) return invalid("model", `model must be ${models.map(({ id }) => id).join(" or ")}.`);
  if (references.length > model.reference_image_limit) {
    const message = `${referenceField} may be given at most ${model.reference_image_limit} times for this model.`;
    return invalid(referenceField, message);
  }
  const shape = resolveShape(model, input);
  if (shape.kind === "invalid") return shape;
  const { aspectRatio, tier, size, renderQuality, n, credits } = shape;
  const request: GenerationRequest = {
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
    references,
    origin,
  };
  return { kind: "priced", request, credits };
}

function invalid(param: string, message: string): InvalidField {
  return { kind: "invalid", param, message };
}
