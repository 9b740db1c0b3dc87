import { describe, expect, it } from "vitest";
import type { FixedRatio, Tier } from "../../src/catalogue/model.ts";
import { models } from "../../src/catalogue/models.ts";
import {
  brokenRule,
  EDGE_MAX,
  EDGE_MULTIPLE,
  ELONGATION_MAX,
  formatSize,
  nearestValidSize,
  PIXELS_MAX,
  PIXELS_MIN,
  parseSize,
  ratioOf,
  type Size,
  sizeOf,
  TIER_LIMITS,
  tierOf,
} from "../../src/catalogue/sizes.ts";

const supported = models[0].supported_aspect_ratios;
const fixedRatios = supported.filter((ratio) => ratio !== "auto");
const tiers: Tier[] = ["1K", "2K", "4K"];

/** Every size in multiples of 16 that the documented limits allow, computed without the code under test. */
const validSizes: Size[] = [];
for (let width = 16; width <= 3840; width += 16) {
  for (let height = 16; height <= 3840; height += 16) {
    const pixels = width * height;
    if (width <= 3 * height && height <= 3 * width && pixels >= 655_360 && pixels <= 8_294_400) {
      validSizes.push({ width, height });
    }
  }
}

it("has the documented limits", () => {
  expect([EDGE_MULTIPLE, EDGE_MAX, ELONGATION_MAX, PIXELS_MIN, PIXELS_MAX]).toEqual([
    16, 3840, 3, 655_360, 8_294_400,
  ]);
  expect(tiers.map((tier) => TIER_LIMITS[tier].pixelsMax)).toEqual([1_572_864, 4_194_304, 8_294_400]);
});

describe("parseSize", () => {
  it.each([
    "1024x1024",
    "1536x1024",
    "1024x640", // 655,360 pixels
    "3840x2160", // 8,294,400 pixels
    "2880x2880",
    "3840x1280", // 3:1
    "1280x3840",
  ])("accepts %s", (text) => {
    const parsed = parseSize(text);
    expect(parsed).toEqual({ kind: "size", size: expect.anything() });
    expect(parsed.kind === "size" && formatSize(parsed.size)).toBe(text);
  });

  it.each([
    "",
    "auto",
    "1024",
    "x",
    "1024x",
    "x1024",
    "1024X1024",
    "1024×1024",
    "1024*1024",
    "1024x1024x1024",
    " 1024x1024",
    "1024x1024 ",
    "1024x1024\n",
    "1024 x 1024",
    "+1024x1024",
    "-1024x1024",
    "1024x-1024",
    "01024x1024",
    "1024x01024",
    "0x1024",
    "1024x0",
    "1024.0x1024",
    "1e3x1024",
    "0x400x0x400",
    "1,024x1,024",
    "１０２４x１０２４",
    "1024x1024px",
  ])("refuses the grammar of %j", (text) => {
    expect(parseSize(text)).toEqual({
      kind: "invalid",
      message: "size must be auto or WIDTHxHEIGHT in pixels, such as 1536x1024.",
    });
  });

  it.each([
    ["3856x2160", "the longest edge must be at most 3840 pixels", "3840x2160"],
    ["3841x2000", "the longest edge must be at most 3840 pixels", "3840x2000"],
    ["2000x3841", "the longest edge must be at most 3840 pixels", "2000x3840"],
    ["7680x4320", "the longest edge must be at most 3840 pixels", "3840x2160"],
    ["4096x2048", "the longest edge must be at most 3840 pixels", "3840x1920"],
    ["4096x4096", "the longest edge must be at most 3840 pixels", "2880x2880"],
    ["3840x1279", "the long edge must be at most 3 times the short edge", "3840x1280"],
    ["1279x3840", "the long edge must be at most 3 times the short edge", "1280x3840"],
    ["2048x512", "the long edge must be at most 3 times the short edge", "1776x592"],
    ["512x512", "width × height must be at least 655360 pixels", "816x816"],
    ["300x100", "width × height must be at least 655360 pixels", "1440x480"],
    ["510x1285", "width × height must be at least 655360 pixels", "512x1280"], // 655,350 pixels
    ["576x1136", "width × height must be at least 655360 pixels", "576x1152"], // The next below on the grid.
    ["2934x2827", "width × height must be at most 8294400 pixels", "2928x2832"], // 8,294,418 pixels
    ["3504x2368", "width × height must be at most 8294400 pixels", "3488x2368"], // The next above on the grid.
    ["2879x2881", "width and height must both be multiples of 16", "2880x2880"], // 8,294,399 pixels
    ["1920x1080", "width and height must both be multiples of 16", "1920x1088"],
    ["1000x1000", "width and height must both be multiples of 16", "1008x1008"],
    ["1024x1025", "width and height must both be multiples of 16", "1024x1024"],
    ["1025x1024", "width and height must both be multiples of 16", "1024x1024"],
    [`${"9".repeat(400)}x1024`, "the longest edge must be at most 3840 pixels", "3840x1280"],
  ])("refuses %s: %s; nearest is %s", (text, rule, nearest) => {
    expect(parseSize(text)).toEqual({
      kind: "invalid",
      message: `size: ${rule}. The nearest valid size is ${nearest}.`,
    });
  });
});

describe("nearestValidSize", () => {
  it("returns a valid size, and no valid size is nearer", () => {
    const edges = [1, 15, 255, 512, 640, 811, 1279, 1281, 2047, 2881, 3839, 3841, 5000, 65_536];
    for (const width of edges) {
      for (const height of edges) {
        const change = (size: Size) =>
          Math.max(Math.abs(Math.log(size.width / width)), Math.abs(Math.log(size.height / height)));
        const nearest = nearestValidSize({ width, height });
        expect(brokenRule(nearest), `${width}x${height}`).toBeUndefined();
        expect(change(nearest)).toBe(Math.min(...validSizes.map(change)));
      }
    }
  });
});

it("accepts exactly the documented sizes", () => {
  const found: Size[] = [];
  for (let width = 16; width <= 3856; width += 16) {
    for (let height = 16; height <= 3856; height += 16) {
      if (brokenRule({ width, height }) === undefined) found.push({ width, height });
    }
  }
  expect(found).toEqual(validSizes);
});

describe("tierOf", () => {
  it.each([
    [{ width: 1024, height: 640 }, "1K"],
    [{ width: 1536, height: 1024 }, "1K"],
    [{ width: 1_572_864, height: 1 }, "1K"],
    [{ width: 1_572_865, height: 1 }, "2K"],
    [{ width: 848, height: 1856 }, "2K"], // The next above on the grid: 1,573,888 pixels.
    [{ width: 2048, height: 2048 }, "2K"],
    [{ width: 4_194_304, height: 1 }, "2K"],
    [{ width: 4_194_305, height: 1 }, "4K"],
    [{ width: 1808, height: 2320 }, "4K"], // The next above on the grid: 4,194,560 pixels.
    [{ width: 3840, height: 2160 }, "4K"],
  ])("prices %j as %s", (size, tier) => {
    expect(tierOf(size)).toBe(tier);
  });
});

describe("sizeOf", () => {
  it.each<[FixedRatio, string, string, string]>([
    ["1:1", "1024x1024", "2048x2048", "2880x2880"],
    ["16:9", "1280x720", "2560x1440", "3840x2160"],
    ["9:16", "720x1280", "1440x2560", "2160x3840"],
    ["3:2", "1248x832", "2496x1664", "3504x2336"],
    ["4:3", "1152x864", "2304x1728", "3264x2448"],
    ["5:4", "1120x896", "2240x1792", "3200x2560"],
    ["21:9", "1456x624", "3024x1296", "3808x1632"],
    ["2:1", "1440x720", "2880x1440", "3840x1920"],
    ["3:1", "1728x576", "3504x1168", "3840x1280"],
  ])("draws %s at %s, %s, %s", (ratio, ...sizes) => {
    expect(tiers.map((tier) => formatSize(sizeOf(ratio, tier)))).toEqual(sizes);
  });

  it.each(fixedRatios.flatMap((ratio) => tiers.map((tier) => ({ ratio, tier }))))(
    "reads the largest size of $ratio at $tier back as the same ratio and tier",
    ({ ratio, tier }) => {
      const size = sizeOf(ratio, tier);
      expect(parseSize(formatSize(size))).toEqual({ kind: "size", size });
      expect({ ratio: ratioOf(size, supported), tier: tierOf(size) }).toEqual({ ratio, tier });

      const [across = 0, down = 0] = ratio.split(":").map(Number);
      const drawnPixelsMax = { "1K": 1_048_576, "2K": 4_194_304, "4K": 8_294_400 }[tier];
      const sameShape = validSizes.filter(
        ({ width, height }) => width * down === height * across && width * height <= drawnPixelsMax,
      );
      expect(size).toEqual(sameShape.at(-1));
    },
  );
});

describe("ratioOf", () => {
  it.each([
    ["1536x1024", "3:2"],
    ["1008x432", "21:9"], // 7:3
    ["432x1008", "9:21"],
    ["1920x1088", "16:9"], // 30:17, 0.7 % away
    ["1088x1920", "9:16"],
    ["1616x1600", "1:1"], // Exactly 1.01 away.
    ["1600x1616", "1:1"],
    ["1600x1584", "100:99"], // 1.0101
    ["1584x1600", "99:100"],
    ["1632x1600", "51:50"],
    ["1600x1000", "8:5"],
    ["3840x2560", "3:2"],
  ])("calls %s %s", (text, ratio) => {
    const [width = 0, height = 0] = text.split("x").map(Number);
    expect(ratioOf({ width, height }, supported)).toBe(ratio);
  });

  it("names only ratios that the model supports", () => {
    expect(ratioOf({ width: 1920, height: 1088 }, ["auto", "1:1"])).toBe("30:17");
    expect(ratioOf({ width: 1008, height: 432 }, ["auto", "1:1"])).toBe("7:3");
  });

  it("finds at most one supported ratio near a valid size", () => {
    for (const size of validSizes) {
      const near = fixedRatios.filter((ratio) => {
        const [across = 0, down = 0] = ratio.split(":").map(Number);
        const [wide, tall] = [size.width * down, size.height * across];
        return wide * 100 <= tall * 101 && tall * 100 <= wide * 101;
      });
      if (near.length > 1) expect.fail(`${formatSize(size)} is near ${near}`);
      const name = ratioOf(size, supported);
      expect(near).toEqual(fixedRatios.filter((ratio) => ratio === name));
    }
  });
});
