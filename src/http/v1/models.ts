import { Hono } from "hono";
import * as z from "zod";
import type { Model as CatalogueModel } from "../../catalogue/model.ts";
import { models } from "../../catalogue/models.ts";
import { supportedSizes } from "../../catalogue/shape.ts";
import { type Config, readConfig } from "../../config.ts";
import { findOffered, isAvailable, offeredModels } from "../../generations/models.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { listOf, named } from "../fields.ts";

const Model = named("Model", () =>
  z.strictObject({
    id: z.string(),
    aliases: z
      .array(z.string())
      .readonly()
      .meta({ description: "Other ids that requests may use for this model." }),
    object: z.literal("model"),
    name: z.string(),
    provider: z.string(),
    provider_model: z.string().meta({ description: "The provider's own id of this model." }),
    owned_by: z.string(),
    created: z.int().meta({ description: "Unix time in seconds." }),
    default_aspect_ratio: z.string(),
    default_quality: z.string().meta({ description: "The resolution of an image without a size." }),
    supported_qualities: z.array(z.string()).readonly().meta({ description: "Resolutions." }),
    supported_aspect_ratios: z.array(z.string()).readonly(),
    supported_render_qualities: z
      .array(z.string())
      .readonly()
      .meta({ description: "Values of `quality` in requests." }),
    supported_sizes: z
      .array(z.string())
      .nullable()
      .meta({ description: "Values of `size` in requests. Null: any size within the limits in the guide." }),
    supported_output_formats: z
      .array(z.enum(["png", "jpeg", "webp"]))
      .readonly()
      .meta({
        description:
          "Values of `output_format` in requests. The first is the default. Empty: the provider chooses PNG or JPEG.",
      }),
    operations: z
      .array(z.enum(["generate", "edit"]))
      .meta({ description: "`edit`: the model takes reference images." }),
    credits: z
      .record(z.string(), z.int())
      .readonly()
      .meta({ description: "The price of one image, by resolution." }),
    reference_image_limit: z.int(),
    max_images: z.int().meta({ description: "The most images of one request." }),
    available: z.boolean().meta({ description: "False while no provider of this model responds." }),
  }),
);

export const ModelList = named("ModelList", () => listOf(Model));

/** The fields that the API shows. */
function renderModel(model: CatalogueModel): Omit<z.infer<typeof Model>, "available"> {
  const { id, aliases, name, provider, provider_model, owned_by, created } = model;
  const { default_aspect_ratio, default_quality } = model;
  const { supported_qualities, supported_aspect_ratios, supported_render_qualities } = model;
  const { supported_output_formats, credits, reference_image_limit, max_images } = model;
  return {
    ...{ id, aliases, object: "model", name, provider, provider_model, owned_by, created },
    ...{ default_aspect_ratio, default_quality },
    ...{ supported_qualities, supported_aspect_ratios, supported_render_qualities },
    ...{ supported_sizes: supportedSizes(model), supported_output_formats },
    ...{ operations: reference_image_limit > 0 ? ["generate", "edit"] : ["generate"] },
    ...{ credits, reference_image_limit, max_images },
  };
}

const EXAMPLE = { ...renderModel(models[0]), available: true };

/** The start of each model's JSON, which never changes; whether the model is available does. */
const rendered = new WeakMap<CatalogueModel, string>();

function modelJson(model: CatalogueModel, config: Config): string {
  const start = rendered.get(model) ?? JSON.stringify(renderModel(model)).slice(0, -1);
  rendered.set(model, start);
  return `${start},"available":${isAvailable(model, config)}}`;
}

/** The list of models, in JSON. */
export function modelsJson(config: Config): string {
  return `{"object":"list","data":[${offeredModels(config).map((model) => modelJson(model, config))}]}`;
}

function jsonResponse(text: string): Response {
  return new Response(text, { headers: { "Content-Type": "application/json" } });
}

export const modelRoutes = new Hono<AppEnv>();

modelRoutes.get(
  "/models",
  contract({
    id: "listModels",
    summary: "List models",
    tag: "models",
    security: null,
    answers: { 200: json("All models.", ModelList, { object: "list", data: [EXAMPLE] }) },
  }),
  (c) => jsonResponse(modelsJson(readConfig(c.env))),
);

modelRoutes.get(
  "/models/:id",
  contract({
    id: "getModel",
    summary: "Retrieve a model",
    tag: "models",
    security: null,
    answers: { 200: json("The model.", Model, EXAMPLE) },
  }),
  (c) => {
    const config = readConfig(c.env);
    const model = findOffered(c.req.param("id"), config);
    if (!model) throw notFound();
    return jsonResponse(modelJson(model, config));
  },
);
