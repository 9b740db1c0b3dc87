import { type GenerationDetail, LOGGED_PROMPT_MAX } from "../../../account/views.ts";
import type { Model } from "../../../catalogue/model.ts";
import { findModel, models } from "../../../catalogue/models.ts";
import { resolveShape } from "../../../catalogue/resolve.ts";
import { parseModelSize } from "../../../catalogue/shape.ts";
import { formatSize } from "../../../catalogue/sizes.ts";
import type { Config } from "../../../config.ts";
import { GenerationInput, PROMPT_CODE_POINTS_MAX } from "../../../generations/input.ts";
import { offeredFormats } from "../../../generations/models.ts";
import { sha256Hex } from "../../../hash.ts";
import type { FormErrors } from "../../forms.ts";
import type { Texts } from "../../texts/english.tsx";

/** The fields of the playground's form, as text. `aspect_ratio` is a ratio or an exact size, as `1536x864`. */
export type PlaygroundForm = {
  model: string;
  prompt: string;
  aspect_ratio: string;
  resolution: string;
  quality: string;
  n: string;
  /** Empty: the model's own format. */
  output_format: string;
  /** A number, or `auto`. */
  output_compression: string;
  background: string;
  moderation: string;
  /** The ids of uploaded references, with spaces between them. */
  references: string;
};

const EXACT_SIZE = /^\d{1,5}x\d{1,5}$/;

/** Whether a value of `aspect_ratio` is an exact size, which no ratio and resolution give. */
export function isExactSize(value: string): boolean {
  return EXACT_SIZE.test(value);
}

export function readPlaygroundForm(fields: ReadonlyMap<string, string>): PlaygroundForm {
  const name = fields.get("model") ?? models[0].id;
  const model = findModel(name) ?? models[0];
  return {
    model: name,
    prompt: fields.get("prompt") ?? "",
    aspect_ratio: fields.get("aspect_ratio") ?? model.default_aspect_ratio,
    resolution: fields.get("resolution") ?? model.default_quality,
    quality: fields.get("quality") ?? model.supported_render_qualities[0] ?? "auto",
    n: fields.get("n") ?? "1",
    output_format: fields.get("output_format") ?? "",
    output_compression: fields.get("output_compression") ?? "auto",
    background: fields.get("background") ?? "auto",
    moderation: fields.get("moderation") ?? "auto",
    references: fields.get("references") ?? "",
  };
}

/** The values that a field of the form offers for a model, and the one that replaces any other. */
type Choice = { values: readonly string[]; fallback: string };

export type Choices = Record<Exclude<keyof PlaygroundForm, "model" | "prompt" | "references">, Choice>;

const COMPRESSIONS = ["auto", "100", "90", "80", "60", "40", "20"];

/** What the form offers for a model. The ratios include the form's exact size, if the model has it. */
export function choicesOf(model: Model, form: PlaygroundForm, config: Config): Choices {
  const isExact = isExactSize(form.aspect_ratio) && parseModelSize(model, form.aspect_ratio).kind === "size";
  const ratios = [...model.supported_aspect_ratios, ...(isExact ? [form.aspect_ratio] : [])];
  const counts = Array.from({ length: model.max_images }, (_, at) => String(at + 1));
  const compressions =
    model.hasCompression && /^(jpeg|webp)$/.test(form.output_format) ? COMPRESSIONS : ["auto"];
  return {
    aspect_ratio: { values: ratios, fallback: model.default_aspect_ratio },
    resolution: { values: model.supported_qualities, fallback: model.default_quality },
    quality: firstOf(model.supported_render_qualities, "auto"),
    n: { values: counts, fallback: "1" },
    output_format: firstOf(offeredFormats(model, config), ""),
    output_compression: firstOf(compressions, "auto"),
    background: firstOf(model.backgrounds, "auto"),
    moderation: firstOf(model.moderations, "auto"),
  };
}

/** @param none the only value of a field that the model does not have */
function firstOf(values: readonly string[], none: string): Choice {
  const [fallback = none] = values;
  return { values: values.length === 0 ? [none] : values, fallback };
}

/** The form that repeats an earlier generation. It has the exact size where no ratio and resolution give it. */
export function formOf({ model, aspectRatio, tier, request }: GenerationDetail): PlaygroundForm {
  const { prompt, size, renderQuality, n, outputFormat } = request;
  const shape = { aspect_ratio: aspectRatio, resolution: tier, quality: renderQuality, n };
  const found = findModel(model);
  const isSupported = found?.supported_aspect_ratios.some((name) => name === aspectRatio);
  const resolved = found && isSupported ? resolveShape(found, shape) : null;
  const exact = size === "auto" ? "auto" : formatSize(size);
  const isNamed =
    resolved?.kind === "shape" && resolved.size !== "auto" && formatSize(resolved.size) === exact;
  return {
    model,
    prompt,
    aspect_ratio: isNamed ? aspectRatio : exact,
    resolution: tier,
    quality: renderQuality,
    n: String(n),
    output_format: outputFormat,
    ...{ output_compression: "auto", background: "auto", moderation: "auto", references: "" },
  };
}

/** Notes on the fields of an earlier generation that the form does not repeat. */
export function notCarriedOver(
  { request: { references, prompt } }: GenerationDetail,
  { playground }: Texts,
): string[] {
  const notes: string[] = [];
  if (references > 0) notes.push(playground.earlierReferences(references));
  if ([...prompt].length >= LOGGED_PROMPT_MAX) notes.push(playground.earlierPrompt(LOGGED_PROMPT_MAX));
  return notes;
}

/** The words for a value that the API refuses, by its field: the API's own message is in English. */
export function refusalWords(param: string, message: string, { playground }: Texts): string {
  if (param === "references") return playground.badReference(message);
  const field = fieldOf(param);
  const label = Object.entries(playground.labels).find(([name]) => name === field)?.[1];
  return label === undefined ? message : playground.badOption(label, message);
}

/** The field of the form that has a parameter of the API. */
export function fieldOf(param: string): string {
  return param === "size" ? "aspect_ratio" : param;
}

/** Validates the form by the rules of the API. */
export function readInput(form: PlaygroundForm, texts: Texts): GenerationInput | { errors: FormErrors } {
  const { playground } = texts;
  if (form.prompt.trim() === "") return { errors: { prompt: playground.enterPrompt } };
  if ([...form.prompt].length > PROMPT_CODE_POINTS_MAX) {
    return { errors: { prompt: playground.promptTooLong(PROMPT_CODE_POINTS_MAX) } };
  }
  const fields = { model: form.model, prompt: form.prompt, ...shapeFields(form), ...optionFields(form) };
  const result = GenerationInput.safeParse(fields);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }) => {
    const param = path.join(".");
    return [fieldOf(param), refusalWords(param, message, texts)];
  });
  return { errors: Object.fromEntries(errors) };
}

/** The API's fields for the shape: an aspect ratio and a resolution, or an exact size. */
export function shapeFields({ aspect_ratio, resolution, quality, n }: PlaygroundForm) {
  const rest = { quality, n: /^\d{1,3}$/.test(n) ? Number(n) : 0 };
  return isExactSize(aspect_ratio) ? { ...rest, size: aspect_ratio } : { ...rest, aspect_ratio, resolution };
}

/** The API's fields for the other options. Those that the form leaves to the model are left out. */
export function optionFields({ output_format, output_compression, background, moderation }: PlaygroundForm) {
  return {
    ...(output_format === "" ? {} : { output_format }),
    ...(/^\d{1,3}$/.test(output_compression) ? { output_compression: Number(output_compression) } : {}),
    ...(background === "auto" ? {} : { background }),
    ...(moderation === "auto" ? {} : { moderation }),
  };
}

/** The fields that older forms lack, and their defaults. */
const LATER_FIELDS: ReadonlyMap<string, string> = new Map([
  ["output_format", ""],
  ["output_compression", "auto"],
  ["background", "auto"],
  ["moderation", "auto"],
  ["references", ""],
]);

/**
 * The idempotency key of a sent form, or null for a form without an attempt. It includes the fields, so that a form
 * that was changed and sent again is a new purchase. API callers' keys have no spaces, so none can equal it.
 */
export async function idempotencyKeyOf(
  attempt: string | undefined,
  form: PlaygroundForm,
): Promise<string | null> {
  if (attempt === undefined) return null;
  // A form of an older release that is sent again to this one is still the same purchase.
  const fields = Object.entries(form).filter(([name, value]) => LATER_FIELDS.get(name) !== value);
  return `playground ${attempt} ${await sha256Hex(JSON.stringify(fields))}`;
}
