import { findModel } from "../../../catalogue/models.ts";
import { resolveShape } from "../../../catalogue/resolve.ts";
import { formatSize } from "../../../catalogue/sizes.ts";
import { counted, formatCredits } from "../../format.ts";
import { curlSample, javascriptSample, pythonSample, type SampleBody } from "../../samples.ts";
import { type PlaygroundForm, shapeFields } from "./form.ts";

/** The price of a form's options, and the same request as code. */
export type Preview = { price: string; credits: number; curl: string; javascript: string; python: string };

export const EXAMPLE_PROMPT = "a lighthouse at dusk";

export function previewOf(form: PlaygroundForm, origin: string): Preview | { error: string } {
  const model = findModel(form.model);
  if (!model) return { error: "This model does not exist." };
  const shape = resolveShape(model, shapeFields(form));
  if (shape.kind === "invalid") return { error: shape.message };
  const body: SampleBody = {
    model: model.id,
    prompt: form.prompt.trim() === "" ? EXAMPLE_PROMPT : form.prompt,
    size: shape.size === "auto" ? "auto" : formatSize(shape.size),
    quality: shape.renderQuality,
    n: shape.n,
  };
  const size = shape.size === "auto" ? "automatic size" : `${shape.size.width} × ${shape.size.height}`;
  return {
    price: `${formatCredits(shape.credits)} for ${counted(shape.n, "image")}, ${size}`,
    credits: shape.credits,
    curl: curlSample(origin, body),
    javascript: javascriptSample(origin, body),
    python: pythonSample(origin, body),
  };
}
