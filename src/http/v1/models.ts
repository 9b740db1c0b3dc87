import { Hono } from "hono";
import * as z from "zod";
import type { Model as CatalogueModel } from "../../catalogue/model.ts";
import { findModel, models } from "../../catalogue/models.ts";
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
    credits: z
      .record(z.string(), z.int())
      .readonly()
      .meta({ description: "The price of one image, by resolution." }),
    reference_image_limit: z.int(),
    max_images: z.int().meta({ description: "The most images of one request." }),
  }),
);

const ModelList = named("ModelList", () => listOf(Model));

const [example] = models;
if (!example) throw new Error("The catalogue has no model.");

/** Shows everything but the routes. */
function renderModel({ routes: _, ...shown }: CatalogueModel): z.infer<typeof Model> {
  return shown;
}

/** The same for everybody and at all times. */
const LIST = JSON.stringify({ object: "list", data: models.map(renderModel) });

export const modelRoutes = new Hono<AppEnv>();

modelRoutes.get(
  "/models",
  contract({
    id: "listModels",
    summary: "List models",
    tag: "models",
    security: null,
    answers: { 200: json("All models.", ModelList, { object: "list", data: [renderModel(example)] }) },
  }),
  () => new Response(LIST, { headers: { "Content-Type": "application/json" } }),
);

modelRoutes.get(
  "/models/:id",
  contract({
    id: "getModel",
    summary: "Retrieve a model",
    tag: "models",
    security: null,
    answers: { 200: json("The model.", Model, renderModel(example)) },
  }),
  (c) => {
    const model = findModel(c.req.param("id"));
    if (!model) throw notFound();
    return c.json(renderModel(model));
  },
);
