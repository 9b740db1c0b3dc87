import { findModel } from "../../../catalogue/models.ts";
import { resolveShape } from "../../../catalogue/resolve.ts";
import { formatSize } from "../../../catalogue/sizes.ts";
import { curlSample, javascriptSample, openaiSample, pythonSample, type SampleBody } from "../../samples.ts";
import type { Texts } from "../../texts/english.tsx";
import { optionFields, type PlaygroundForm, refusalWords, shapeFields } from "./form.ts";
import { readReferences } from "./references.ts";

/** The price of a form's options, and the same request as code. */
export type Preview = { price: string; credits: number } & Samples;

type Samples = { curl: string; javascript: string; python: string; openai: string };

export function previewOf(form: PlaygroundForm, origin: string, texts: Texts): Preview | { error: string } {
  const { playground } = texts;
  const model = findModel(form.model);
  if (!model) return { error: playground.noModel };
  const shape = resolveShape(model, shapeFields(form));
  if (shape.kind === "invalid") return { error: refusalWords(shape.param, shape.message, texts) };
  const { output_format, ...options } = optionFields(form);
  const [usual] = model.supported_output_formats;
  const body: SampleBody = {
    model: model.id,
    prompt: form.prompt.trim() === "" ? playground.examplePrompt : form.prompt,
    size: shape.size === "auto" ? "auto" : formatSize(shape.size),
    quality: shape.renderQuality,
    n: shape.n,
    ...(output_format === undefined || output_format === usual ? {} : { output_format }),
    ...options,
  };
  const references = readReferences(form.references).flatMap((entry) =>
    entry.kind === "uploaded" ? [entry.id] : [],
  );
  const native = references.length === 0 ? body : { ...body, reference_images: references };
  const size =
    shape.size === "auto" ? playground.automaticSize : `${shape.size.width} × ${shape.size.height}`;
  return {
    price: playground.price(shape.credits, shape.n, size),
    credits: shape.credits,
    curl: curlSample(origin, native),
    javascript: javascriptSample(origin, native),
    python: pythonSample(origin, native),
    openai: openaiSample(origin, body, references),
  };
}
