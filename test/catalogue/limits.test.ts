import { describe, expect, it } from "vitest";
import { chooseFormat, findInvalidOption, type OptionsRequest } from "../../src/catalogue/limits.ts";
import type { Model } from "../../src/catalogue/model.ts";
import { findModel } from "../../src/catalogue/models.ts";
import type { OutputFormat } from "../../src/catalogue/options.ts";

function named(id: string): Model {
  const model = findModel(id);
  if (!model) throw new Error(`There is no ${id}.`);
  return model;
}

const GRINNING = "\u{1F600}";
const plain: OptionsRequest = { prompt: "a lighthouse", background: "auto", moderation: "auto" };

describe("the options of a model", () => {
  it.each<[string, Partial<OptionsRequest>]>([
    ["gpt-image-2", {}],
    ["gpt-image-2", { prompt: "a".repeat(32_000) }],
    [
      "gpt-image-2",
      { output_format: "webp", output_compression: 50, background: "opaque", moderation: "low" },
    ],
    ["gemini-nano-banana-2.1", { background: "opaque" }],
    ["flux-2-pro", { output_format: "webp" }],
    ["flux-1-schnell", { prompt: "a".repeat(2048), output_format: "jpeg" }],
    ["flux-1-schnell", { prompt: GRINNING.repeat(2048) }],
    ["flux-2-klein-4b", { prompt: "a".repeat(32_000) }],
  ])("%s takes %j", (id, changes) => {
    expect(findInvalidOption(named(id), { ...plain, ...changes })).toBeUndefined();
  });

  it.each<[string, Partial<OptionsRequest>, string, string]>([
    ["flux-1-schnell", { prompt: "a".repeat(2049) }, "prompt", "at most 2048 characters for flux-1-schnell."],
    ["flux-1-schnell", { prompt: GRINNING.repeat(2049) }, "prompt", "at most 2048 characters"],
    ["flux-2-klein-4b", { prompt: "a".repeat(32_001) }, "prompt", "at most 32000 characters"],
    ["flux-1-schnell", { output_format: "png" }, "output_format", "must be jpeg for flux-1-schnell."],
    ["flux-2-klein-4b", { output_format: "webp" }, "output_format", "must be jpeg for flux-2-klein-4b."],
    [
      "gemini-3-pro-image",
      { output_format: "png" },
      "output_format",
      "cannot be chosen for gemini-3-pro-image",
    ],
    ["gemini-3-pro-image", { output_compression: 50 }, "output_compression", "leave it out."],
    ["flux-2-pro", { output_compression: 0 }, "output_compression", "cannot be chosen for flux-2-pro"],
    ["flux-2-pro", { moderation: "low" }, "moderation", "moderation must be auto for flux-2-pro."],
  ])("%s does not take %j", (id, changes, param, message) => {
    const fault = findInvalidOption(named(id), { ...plain, ...changes });
    expect(fault).toEqual({ kind: "invalid", param, message: expect.stringContaining(message) });
  });
});

describe("the format of a request", () => {
  it.each<[string, OutputFormat | undefined, OutputFormat[], OutputFormat | undefined]>([
    // Left out: the model's first format that the routes make.
    ["gpt-image-2", undefined, ["png", "jpeg", "webp"], "png"],
    ["gpt-image-2", undefined, ["jpeg", "webp"], "jpeg"],
    ["flux-1-schnell", undefined, ["png", "jpeg"], "jpeg"],
    // The built-in provider draws only PNG.
    ["flux-1-schnell", undefined, ["png"], "png"],
    ["gemini-3-pro-image", undefined, ["png"], "png"],
    // Where the provider chooses, the first that it makes.
    ["gemini-3-pro-image", undefined, ["jpeg", "png"], "jpeg"],
    // Without a route: the model's default.
    ["gpt-image-2", undefined, [], "png"],
    ["flux-1-schnell", undefined, [], "jpeg"],
    ["gemini-3-pro-image", undefined, [], "png"],
    // Named.
    ["gpt-image-2", "webp", ["png", "webp"], "webp"],
    ["gpt-image-2", "webp", [], "webp"],
    ["gpt-image-2", "webp", ["png"], undefined],
    ["flux-1-schnell", "jpeg", ["png"], undefined],
  ])("%s, %s, of %j, is %s", (id, format, made, chosen) => {
    expect(chooseFormat(named(id), format, made)).toBe(chosen);
  });
});
