import type { Model } from "./model.ts";
import type { ImageOptions, OutputFormat } from "./options.ts";

/** The options of a request beside its shape, as the client sent them. */
export type OptionsRequest = {
  prompt: string;
  output_format?: OutputFormat | undefined;
  output_compression?: number | undefined;
  background: ImageOptions["background"];
  moderation: ImageOptions["moderation"];
};

export type InvalidOption = { kind: "invalid"; param: keyof OptionsRequest; message: string };

/** The first option that the model does not have, with what it has instead, or undefined. */
export function findInvalidOption(model: Model, request: OptionsRequest): InvalidOption | undefined {
  const { prompt, output_format: format, output_compression, background, moderation } = request;
  if (exceedsCodePoints(prompt, model.promptMax)) {
    return invalid("prompt", `prompt must be at most ${model.promptMax} characters for ${model.id}.`);
  }
  const formats = model.supported_output_formats;
  if (format !== undefined && formats.length === 0) {
    return invalid("output_format", `output_format cannot be chosen for ${model.id}: leave it out.`);
  }
  if (format !== undefined && !formats.includes(format)) {
    return invalid("output_format", `output_format must be ${formats.join(" or ")} for ${model.id}.`);
  }
  if (output_compression !== undefined && !model.hasCompression) {
    return invalid(
      "output_compression",
      `output_compression cannot be chosen for ${model.id}: leave it out.`,
    );
  }
  if (!model.backgrounds.includes(background)) {
    return invalid("background", `background must be ${model.backgrounds.join(" or ")} for ${model.id}.`);
  }
  if (!model.moderations.includes(moderation)) {
    return invalid("moderation", `moderation must be ${model.moderations.join(" or ")} for ${model.id}.`);
  }
  return undefined;
}

/**
 * The format to ask the provider for, or, of a request that names none, the default.
 * @param made the formats of the routes that may serve the request; empty when there is no route
 * @returns undefined when the named format is none of those made
 */
export function chooseFormat(
  { supported_output_formats: offered }: Model,
  named: OutputFormat | undefined,
  made: readonly OutputFormat[],
): OutputFormat | undefined {
  if (named !== undefined) return made.length === 0 || made.includes(named) ? named : undefined;
  const isMade = (format: OutputFormat) => made.length === 0 || made.includes(format);
  return offered.find(isMade) ?? made[0] ?? "png";
}

/** A code point takes one or two UTF-16 units, so only lengths between those bounds need counting. */
export function exceedsCodePoints(text: string, most: number): boolean {
  return text.length > 2 * most || (text.length > most && [...text].length > most);
}

function invalid(param: keyof OptionsRequest, message: string): InvalidOption {
  return { kind: "invalid", param, message };
}
