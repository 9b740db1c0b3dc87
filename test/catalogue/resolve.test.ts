import { describe, expect, it } from "vitest";
import type { Model } from "../../src/catalogue/model.ts";
import { models } from "../../src/catalogue/models.ts";
import { resolveShape, type ShapeRequest } from "../../src/catalogue/resolve.ts";
import { formatSize } from "../../src/catalogue/sizes.ts";

function onlyModel(): Model {
  const [model] = models;
  if (model === undefined) throw new Error("The catalogue is empty.");
  return model;
}
const model = onlyModel();

/** `ratio tier size render n credits`, or `param: message`. */
function resolved(request: ShapeRequest): string {
  const outcome = resolveShape(model, request);
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
    [{ aspect_ratio: "7:3" }, `aspect_ratio: aspect_ratio must be one of ${ratios}.`],
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
