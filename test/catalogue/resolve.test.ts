import { describe, expect, it } from "vitest";
import type { Model } from "../../src/catalogue/model.ts";
import { findModel, models } from "../../src/catalogue/models.ts";
import { resolveShape, type ShapeRequest } from "../../src/catalogue/resolve.ts";
import { modelSizeOf, supportedSizes } from "../../src/catalogue/shape.ts";
import { formatSize } from "../../src/catalogue/sizes.ts";

const [model] = models;

/** `ratio tier size render n credits`, or `param: message`. */
function resolved(request: ShapeRequest, of: Model = model): string {
  const outcome = resolveShape(of, request);
  if (outcome.kind === "invalid") return `${outcome.param}: ${outcome.message}`;
  const size = outcome.size === "auto" ? "auto" : formatSize(outcome.size);
  return [outcome.aspectRatio, outcome.tier, size, outcome.renderQuality, outcome.n, outcome.credits].join(
    " ",
  );
}

describe("size and price", () => {
  it.each<[ShapeRequest, string]>([
    // No field, or only auto: the provider chooses.
    [{}, "auto 1K auto auto 1 8"],
    [{ size: "auto", quality: "auto", aspect_ratio: "auto" }, "auto 1K auto auto 1 8"],
    [{ n: 4 }, "auto 1K auto auto 4 32"],
    [{ size: undefined, quality: undefined, n: undefined }, "auto 1K auto auto 1 8"],
    // Render quality never changes the price.
    [{ quality: "low" }, "auto 1K auto low 1 8"],
    [{ quality: "medium", n: 2 }, "auto 1K auto medium 2 16"],
    [{ quality: "high" }, "auto 1K auto high 1 8"],
    [{ quality: "high", size: "3840x2160", n: 3 }, "16:9 4K 3840x2160 high 3 36"],
    // A size names shape and tier.
    [{ size: "1024x1024" }, "1:1 1K 1024x1024 auto 1 8"],
    [{ size: "1536x1024" }, "3:2 1K 1536x1024 auto 1 8"],
    [{ size: "1808x2320" }, "113:145 4K 1808x2320 auto 1 12"],
    [{ size: "1920x1088", n: 2 }, "16:9 2K 1920x1088 auto 2 20"],
    [{ size: "1600x1024" }, "25:16 2K 1600x1024 auto 1 10"],
    // The older form: a ratio, and a tier in quality.
    [{ aspect_ratio: "16:9" }, "16:9 1K 1280x720 auto 1 8"],
    [{ aspect_ratio: "16:9", quality: "2K" }, "16:9 2K 2560x1440 auto 1 10"],
    [{ aspect_ratio: "1:1", quality: "4K", n: 4 }, "1:1 4K 2880x2880 auto 4 48"],
    [{ aspect_ratio: "21:9", quality: "1K" }, "21:9 1K 1456x624 auto 1 8"],
    // A ratio, a resolution and a render quality together.
    [{ aspect_ratio: "9:16", resolution: "2K", quality: "high", n: 2 }, "9:16 2K 1440x2560 high 2 20"],
    [{ aspect_ratio: "16:9", quality: "low" }, "16:9 1K 1280x720 low 1 8"],
    [{ size: "auto", aspect_ratio: "3:2", resolution: "4K" }, "3:2 4K 3504x2336 auto 1 12"],
    // A tier without a ratio: a square of that tier.
    [{ quality: "1K" }, "auto 1K auto auto 1 8"],
    [{ resolution: "1K", quality: "low" }, "auto 1K auto low 1 8"],
    [{ quality: "2K" }, "1:1 2K 2048x2048 auto 1 10"],
    [{ quality: "4K" }, "1:1 4K 2880x2880 auto 1 12"],
    [{ resolution: "2K", quality: "medium" }, "1:1 2K 2048x2048 medium 1 10"],
    [{ resolution: "4K", aspect_ratio: "auto", size: "auto" }, "1:1 4K 2880x2880 auto 1 12"],
    // Fields that say the same.
    [{ quality: "2K", resolution: "2K" }, "1:1 2K 2048x2048 auto 1 10"],
    [{ size: "2560x1440", quality: "2K", resolution: "2K" }, "16:9 2K 2560x1440 auto 1 10"],
    [{ size: "2560x1440", aspect_ratio: "16:9" }, "16:9 2K 2560x1440 auto 1 10"],
    [{ size: "1920x1088", aspect_ratio: "16:9" }, "16:9 2K 1920x1088 auto 1 10"],
    [{ size: "1008x656", aspect_ratio: "auto" }, "63:41 1K 1008x656 auto 1 8"],
    [{ size: "1536x1024", aspect_ratio: "auto", quality: "1K" }, "3:2 1K 1536x1024 auto 1 8"],
  ])("%j → %s", (request, outcome) => {
    expect(resolved(request)).toBe(outcome);
  });
});

describe("invalid requests", () => {
  const ratios = model.supported_aspect_ratios.join(", ");
  it.each<[ShapeRequest, string]>([
    // A single invalid field.
    [{ size: "" }, "size: size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024."],
    [{ size: "AUTO" }, "size: size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024."],
    [{ size: "2K" }, "size: size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024."],
    [
      { size: "512x512" },
      "size: size: width × height must be at least 655360 pixels. The nearest valid size is 816x816.",
    ],
    [{ quality: "hd" }, "quality: quality must be one of auto, low, medium, high, 1K, 2K, 4K."],
    [{ quality: "2k" }, "quality: quality must be one of auto, low, medium, high, 1K, 2K, 4K."],
    [{ quality: "" }, "quality: quality must be one of auto, low, medium, high, 1K, 2K, 4K."],
    [{ aspect_ratio: "7:3" }, `aspect_ratio: aspect_ratio must be one of ${ratios}. The nearest is 21:9.`],
    [{ aspect_ratio: "16x9" }, `aspect_ratio: aspect_ratio must be one of ${ratios}.`],
    [{ aspect_ratio: "" }, `aspect_ratio: aspect_ratio must be one of ${ratios}.`],
    [{ resolution: "auto" }, "resolution: resolution must be one of 1K, 2K, 4K."],
    [{ resolution: "8K" }, "resolution: resolution must be one of 1K, 2K, 4K."],
    [{ resolution: "" }, "resolution: resolution must be one of 1K, 2K, 4K."],
    ...[0, 5, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY].map((n): [ShapeRequest, string] => [
      { n },
      "n: n must be a whole number from 1 to 4.",
    ]),
    // Fields that name different tiers.
    [
      { size: "1024x1024", quality: "2K" },
      "quality: quality is 2K, but size 1024x1024 counts as 1K. Leave quality or size out, or make them agree.",
    ],
    [
      { size: "3840x2160", quality: "1K" },
      "quality: quality is 1K, but size 3840x2160 counts as 4K. Leave quality or size out, or make them agree.",
    ],
    [
      { size: "1536x1024", resolution: "2K", quality: "high" },
      "resolution: resolution is 2K, but size 1536x1024 counts as 1K. " +
        "Leave resolution or size out, or make them agree.",
    ],
    [
      { quality: "2K", resolution: "4K" },
      "resolution: resolution is 4K, but quality is 2K. Leave resolution or quality out, or make them agree.",
    ],
    [
      { quality: "1K", resolution: "2K", aspect_ratio: "16:9" },
      "resolution: resolution is 2K, but quality is 1K. Leave resolution or quality out, or make them agree.",
    ],
    [
      { size: "2048x2048", quality: "2K", resolution: "4K" },
      "resolution: resolution is 4K, but size 2048x2048 counts as 2K. " +
        "Leave resolution or size out, or make them agree.",
    ],
    // Fields that name different ratios.
    [
      { size: "1024x1024", aspect_ratio: "16:9" },
      "aspect_ratio: aspect_ratio is 16:9, but size 1024x1024 is 1:1. " +
        "Leave one of them out, or give a size of that ratio, such as 1280x720.",
    ],
    [
      { size: "2160x3840", aspect_ratio: "16:9", quality: "4K" },
      "aspect_ratio: aspect_ratio is 16:9, but size 2160x3840 is 9:16. " +
        "Leave one of them out, or give a size of that ratio, such as 3840x2160.",
    ],
    [
      { size: "1600x1024", aspect_ratio: "3:2" },
      "aspect_ratio: aspect_ratio is 3:2, but size 1600x1024 is 25:16. " +
        "Leave one of them out, or give a size of that ratio, such as 2496x1664.",
    ],
  ])("%j → %s", (request, outcome) => {
    expect(resolved(request)).toBe(outcome);
  });
});

it("accepts at most as many images as the model makes", () => {
  expect(resolved({ n: model.max_images })).toContain(`${model.max_images} 32`);
  expect(resolved({ n: model.max_images + 1 })).toContain("n: ");
});

it("is consistent: a request by ratio and tier equals the request by its size", () => {
  for (const aspect_ratio of model.supported_aspect_ratios) {
    for (const resolution of model.supported_qualities) {
      const byName = resolveShape(model, { aspect_ratio, resolution, n: 2 });
      if (byName.kind === "invalid") expect.fail(byName.message);
      if (byName.size === "auto") continue;
      const size = formatSize(byName.size);
      expect(resolveShape(model, { size, n: 2 })).toEqual(byName);
      expect(resolveShape(model, { size, aspect_ratio, resolution, n: 2 })).toEqual(byName);
    }
  }
});

function named(id: string): Model {
  const found = findModel(id);
  if (!found) throw new Error(`There is no ${id}.`);
  return found;
}

describe("the shapes of other models", () => {
  it.each<[string, ShapeRequest, string]>([
    // Without a size: their own default ratio, in pixels.
    ["gemini-nano-banana-2.1", {}, "1:1 1K 1024x1024 auto 1 40"],
    ["gemini-nano-banana-2.1", { size: "auto", n: 4 }, "1:1 1K 1024x1024 auto 4 160"],
    ["gemini-nano-banana-2.1", { resolution: "4K" }, "1:1 4K 4096x4096 auto 1 130"],
    ["gemini-nano-banana-2.1", { aspect_ratio: "8:1", quality: "2K" }, "8:1 2K 6144x768 auto 1 60"],
    ["gemini-nano-banana-2.1", { aspect_ratio: "1:8", resolution: "4K" }, "1:8 4K 1536x12288 auto 1 130"],
    // A size of their table is its ratio and tier, whatever its pixels: 1696x2528 has more than 2048x2048.
    ["gemini-3-pro-image", { size: "1696x2528" }, "2:3 2K 1696x2528 auto 1 160"],
    ["gemini-3-pro-image", { size: "5504x3072", aspect_ratio: "16:9" }, "16:9 4K 5504x3072 auto 1 290"],
    ["gemini-3-pro-image", { size: "1376x768", resolution: "1K" }, "16:9 1K 1376x768 auto 1 160"],
    ["flux-2-pro", {}, "1:1 1K 1024x1024 auto 1 36"],
    ["flux-2-pro", { resolution: "2K" }, "1:1 2K 2048x2048 auto 1 90"],
    ["flux-2-pro", { size: "2048x2048" }, "1:1 2K 2048x2048 auto 1 90"],
    ["flux-2-pro", { size: "1600x1024", n: 2 }, "25:16 2K 1600x1024 auto 2 180"],
    ["flux-1-schnell", {}, "1:1 1K 1024x1024 auto 1 1"],
    ["flux-1-schnell", { size: "1024x1024", quality: "1K", n: 4 }, "1:1 1K 1024x1024 auto 4 4"],
    ["flux-2-klein-4b", { aspect_ratio: "3:1" }, "3:1 1K 1728x576 auto 1 2"],
    ["flux-2-klein-4b", { size: "1920x816" }, "21:9 1K 1920x816 auto 1 2"],
    ["flux-2-klein-4b", { size: "1536x1024" }, "3:2 1K 1536x1024 auto 1 2"],
  ])("%s %j → %s", (id, request, outcome) => {
    expect(resolved(request, named(id))).toBe(outcome);
  });

  it.each<[string, ShapeRequest, string]>([
    [
      "gemini-nano-banana-2.1",
      { size: "512x512" },
      "size: size must be auto or one that gemini-nano-banana-2.1 has. The nearest valid size is 1024x1024.",
    ],
    ["gemini-nano-banana-2.1", { size: "1920x1080" }, "The nearest valid size is 1376x768."],
    [
      "gemini-nano-banana-2.1",
      { size: "wide" },
      "size: size must be auto or WIDTHxHEIGHT in pixels, such as 1024x1024.",
    ],
    ["gemini-nano-banana-2.1", { aspect_ratio: "9:21" }, "The nearest is 9:16."],
    ["gemini-nano-banana-2.1", { aspect_ratio: "auto" }, "The nearest is 1:1."],
    ["gemini-nano-banana-2.1", { aspect_ratio: "100:1" }, "The nearest is 8:1."],
    ["gemini-3-pro-image", { aspect_ratio: "4:1" }, "The nearest is 21:9."],
    ["gemini-3-pro-image", { aspect_ratio: "1:8" }, "The nearest is 9:16."],
    [
      "gemini-3-pro-image",
      { size: "1376x768", aspect_ratio: "4:3" },
      "aspect_ratio: aspect_ratio is 4:3, but size 1376x768 is 16:9. Leave one of them out, or give a size of that ratio, such as 1200x896.",
    ],
    [
      "gemini-3-pro-image",
      { size: "1696x2528", resolution: "4K" },
      "resolution: resolution is 4K, but size 1696x2528 counts as 2K. Leave resolution or size out, or make them agree.",
    ],
    [
      "gemini-3-pro-image",
      { quality: "high" },
      "quality: quality must be one of auto, 1K, 2K, 4K. The nearest is auto.",
    ],
    ["gemini-3-pro-image", { n: 5 }, "n: n must be a whole number from 1 to 4."],
    ["flux-2-pro", { resolution: "4K" }, "resolution: resolution must be one of 1K, 2K. The nearest is 2K."],
    ["flux-2-pro", { quality: "4K" }, "quality: quality must be one of auto, 1K, 2K. The nearest is 2K."],
    [
      "flux-2-pro",
      { size: "2064x2048" },
      "size: size: width × height must be at most 4194304 pixels. The nearest valid size is 2048x2048.",
    ],
    ["flux-2-pro", { aspect_ratio: "1:4" }, "The nearest is 1:3."],
    ["flux-1-schnell", { size: "1024x1040" }, "The nearest valid size is 1024x1024."],
    ["flux-1-schnell", { aspect_ratio: "16:9" }, "aspect_ratio: aspect_ratio must be 1:1."],
    ["flux-1-schnell", { resolution: "2K" }, "resolution: resolution must be 1K."],
    [
      "flux-2-klein-4b",
      { size: "1936x800" },
      "size: size: the longest edge must be at most 1920 pixels. The nearest valid size is 1920x800.",
    ],
    ["flux-2-klein-4b", { size: "1536x1040" }, "size: size: width × height must be at most 1572864 pixels."],
    ["flux-2-klein-4b", { n: 0 }, "n: n must be a whole number from 1 to 4."],
  ])("%s %j is invalid", (id, request, message) => {
    expect(resolved(request, named(id))).toContain(message);
  });

  it.each(models)("$id reads each of its sizes as the ratio and the tier that it has", (of) => {
    for (const ratio of of.supported_aspect_ratios) {
      if (ratio === "auto") continue;
      for (const tier of of.supported_qualities) {
        const size = formatSize(modelSizeOf(of, ratio, tier));
        const expected = `${ratio} ${tier} ${size} auto 1 ${of.credits[tier]}`;
        expect(resolved({ aspect_ratio: ratio, resolution: tier }, of)).toBe(expected);
        expect(resolved({ size }, of)).toBe(expected);
        expect(supportedSizes(of)?.includes(size) ?? true).toBe(true);
      }
    }
  });

  it.each(models)("$id takes 1 to its most images, and no more", (of) => {
    expect(resolved({ n: of.max_images }, of)).toMatch(new RegExp(` ${of.max_images} \\d+$`));
    for (const n of [0, of.max_images + 1])
      expect(resolved({ n }, of)).toBe(`n: n must be a whole number from 1 to ${of.max_images}.`);
  });
});
