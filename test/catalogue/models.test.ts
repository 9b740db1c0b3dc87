import { describe, expect, it } from "vitest";
import { cheapestPrice, findModel, models, priceCaps, priceOf } from "../../src/catalogue/models.ts";

it("has the models and the prices of the contract", () => {
  expect(models.map(({ id, credits }) => [id, credits])).toEqual([
    ["gpt-image-2", { "1K": 8, "2K": 10, "4K": 12 }],
    ["gemini-nano-banana-2.1", { "1K": 40, "2K": 60, "4K": 130 }],
    ["gemini-3-pro-image", { "1K": 160, "2K": 160, "4K": 290 }],
    ["flux-2-pro", { "1K": 36, "2K": 90 }],
    ["flux-1-schnell", { "1K": 1 }],
    ["flux-2-klein-4b", { "1K": 2 }],
  ]);
});

it("has the routes of the contract", () => {
  const routes = models.map(({ id, routes }) => [
    id,
    routes.map(({ provider, model }) => `${provider} ${model}`),
  ]);
  expect(Object.fromEntries(routes)).toEqual({
    "gpt-image-2": ["openai gpt-image-2", "openai-fallback gpt-image-2", "workers-ai openai/gpt-image-2"],
    "gemini-nano-banana-2.1": [
      "google gemini-nano-banana-2.1",
      "fal google/nano-banana-2.1",
      "workers-ai google/nano-banana-2",
    ],
    "gemini-3-pro-image": [
      "google gemini-3-pro-image",
      "fal fal-ai/nano-banana-pro",
      "workers-ai google/nano-banana-pro",
    ],
    "flux-2-pro": [
      "black-forest-labs flux-2-pro",
      "fal fal-ai/flux-2-pro",
      "workers-ai black-forest-labs/flux-2-pro-preview",
    ],
    "flux-1-schnell": ["workers-ai @cf/black-forest-labs/flux-1-schnell"],
    "flux-2-klein-4b": ["workers-ai @cf/black-forest-labs/flux-2-klein-4b"],
  });
});

it.each([
  ["gpt-image-2", "gpt-image-2"],
  ["openai/gpt-image-2", "gpt-image-2"],
  ["gpt-image-2-2026-04-21", "gpt-image-2"],
  ["nano-banana", "gemini-nano-banana-2.1"],
  ["nano-banana-2", "gemini-nano-banana-2.1"],
  ["google/gemini-nano-banana-2.1", "gemini-nano-banana-2.1"],
  ["nano-banana-pro", "gemini-3-pro-image"],
  ["google/gemini-3-pro-image", "gemini-3-pro-image"],
  ["black-forest-labs/flux-2-pro", "flux-2-pro"],
  ["cloudflare/flux-1-schnell", "flux-1-schnell"],
  ["cloudflare/flux-2-klein-4b", "flux-2-klein-4b"],
])("finds %s as %s", (name, id) => {
  expect(findModel(name)?.id).toBe(id);
});

it.each([
  "openai/gpt-image-2-2026-04-21",
  "azure/gpt-image-2",
  "google/nano-banana",
  "openai/flux-2-pro",
  "GPT-IMAGE-2",
  "gpt-image-2 ",
  "",
  "constructor",
])("has no model %j", (id) => {
  expect(findModel(id)).toBeUndefined();
});

it("gives no name to two models", () => {
  const names = models.flatMap(({ id, aliases }) => [id, ...aliases]);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(models)("$id", (model) => {
  const tiers = model.supported_qualities;

  it("is found by its id and with its provider's name before it", () => {
    expect(findModel(model.id)).toBe(model);
    expect(findModel(`${model.provider}/${model.id}`)).toBe(model);
  });

  it("has its defaults among its values", () => {
    expect(model.supported_aspect_ratios).toContain(model.default_aspect_ratio);
    expect(tiers).toContain(model.default_quality);
    expect(model.supported_render_qualities[0]).toBe("auto");
    expect([model.backgrounds[0], model.moderations[0]]).toEqual(["auto", "auto"]);
  });

  it("has a price and a cost for each of its tiers, in whole units", () => {
    expect([Object.keys(model.credits), Object.keys(model.providerCosts)]).toEqual([[...tiers], [...tiers]]);
    const amounts = [...Object.values(model.credits), ...Object.values(model.providerCosts)];
    expect(amounts.every((amount) => Number.isSafeInteger(amount) && amount > 0)).toBe(true);
    const prices = tiers.map((tier) => priceOf(model, tier, 1));
    expect(prices).toEqual(prices.toSorted((a, b) => a - b));
    expect([cheapestPrice(model), cheapestPrice(model, 4)]).toEqual([prices[0], (prices[0] ?? 0) * 4]);
  });

  it("caps an image of a tier that it does not have at its highest price", () => {
    const highest = Math.max(...Object.values(model.credits));
    expect(priceCaps(model)).toEqual({ "1K": highest, "2K": highest, "4K": highest, ...model.credits });
  });

  it("names itself to its first route as to callers", () => {
    expect(model.routes[0]?.model).toBe(model.provider_model);
  });
});

it.each(models.filter(({ id }) => id !== "gpt-image-2"))("sells $id above its cost", (model) => {
  // A credit sells for about $0.001.
  for (const tier of model.supported_qualities)
    expect(priceOf(model, tier, 1) * 1000).toBeGreaterThan(model.providerCosts[tier] ?? Number.NaN);
});

it("has no price for a tier that the model does not have", () => {
  const schnell = models.filter(({ id }) => id === "flux-1-schnell");
  for (const model of schnell) expect(() => priceOf(model, "2K", 1)).toThrow("no price for 2K");
  expect(schnell).toHaveLength(1);
});
