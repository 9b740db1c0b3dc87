import { expect, it } from "vitest";
import { cheapestPrice, findModel, models, priceOf } from "../../src/catalogue/models.ts";

it("shows the catalogue as documented", () => {
  expect(models).toEqual([
    {
      id: "gpt-image-2",
      aliases: ["openai/gpt-image-2", "gpt-image-2-2026-04-21"],
      object: "model",
      name: "GPT IMAGE 2",
      provider: "openai",
      provider_model: "gpt-image-2",
      owned_by: "openai",
      created: Date.UTC(2026, 3, 21) / 1000,
      default_aspect_ratio: "auto",
      default_quality: "1K",
      supported_qualities: ["1K", "2K", "4K"],
      supported_aspect_ratios: "auto 1:1 4:3 3:4 3:2 2:3 16:9 9:16 5:4 4:5 21:9 9:21 2:1 1:2 3:1 1:3".split(
        " ",
      ),
      supported_render_qualities: ["auto", "low", "medium", "high"],
      credits: { "1K": 8, "2K": 10, "4K": 12 },
      reference_image_limit: 16,
      max_images: 4,
      routes: [
        { provider: "openai", model: "gpt-image-2" },
        { provider: "openai-fallback", model: "gpt-image-2" },
      ],
    },
  ]);
});

it.each(["gpt-image-2", "openai/gpt-image-2", "gpt-image-2-2026-04-21"])("finds the model by %s", (name) => {
  expect(findModel(name)?.id).toBe("gpt-image-2");
});

it.each([
  "openai/gpt-image-2-2026-04-21",
  "azure/gpt-image-2",
  "GPT-IMAGE-2",
  "gpt-image-2 ",
  "",
  "constructor",
])("has no model %j", (id) => {
  expect(findModel(id)).toBeUndefined();
});

it.each(models)("finds and prices $id", (model) => {
  expect(findModel(model.id)).toBe(model);
  expect([priceOf(model, "1K", 1), priceOf(model, "2K", 3), priceOf(model, "4K", 4)]).toEqual([8, 30, 48]);
  expect([cheapestPrice(model), cheapestPrice(model, 4)]).toEqual([8, 32]);
});
