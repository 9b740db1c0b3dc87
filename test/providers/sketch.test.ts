import { expect, it } from "vitest";
import { models } from "../../src/catalogue/models.ts";
import { modelSizeOf } from "../../src/catalogue/shape.ts";
import { type ImageRequest, ProviderError, type Reference } from "../../src/providers/provider.ts";
import { EDGE_PIXELS_MAX, sketch } from "../../src/providers/sketch/index.ts";
import { readWishes } from "../../src/providers/sketch/words.ts";
import { readPng } from "./sketch-png.ts";

const REQUEST: ImageRequest = {
  generationId: "gen_a",
  providerModel: "sketch",
  prompt: "a lighthouse at dusk",
  size: { width: 96, height: 64 },
  aspectRatio: "3:2",
  tier: "1K",
  renderQuality: "medium",
  outputFormat: "png",
  outputCompression: null,
  background: "auto",
  moderation: "auto",
  endUser: null,
  n: 1,
  offset: 0,
};

type Call = Partial<ImageRequest> & { references?: readonly Reference[]; signal?: AbortSignal };

async function draw({
  references = [],
  signal = new AbortController().signal,
  ...changes
}: Call = {}): Promise<Uint8Array[]> {
  const images: Uint8Array[] = [];
  for await (const { body } of sketch.generate({ ...REQUEST, ...changes }, { references, signal })) {
    images.push(await new Response(body).bytes());
  }
  return images;
}

async function drawOne(call: Call = {}): Promise<Uint8Array> {
  const [image = new Uint8Array()] = await draw(call);
  return image;
}

function reference(text: string): Reference {
  const bytes = new TextEncoder().encode(text);
  return { contentType: "image/png", bytes: bytes.length, open: async () => new Blob([bytes]).stream() };
}

it.each([
  ["auto", 1024, 1024],
  [{ width: 1024, height: 1024 }, 1024, 1024],
  [{ width: 1280, height: 720 }, 1280, 720],
  [{ width: 544, height: 1632 }, 544, 1632],
  [{ width: 1536, height: 512 }, 1536, 512],
  [{ width: 112, height: 40 }, 112, 40],
] as const)("draws %j as %d x %d, every row whole", async (size, width, height) => {
  const png = await readPng(await drawOne({ size, aspectRatio: "auto" }));
  expect([png.width, png.height]).toEqual([width, height]);
  expect(png.rows.length).toBe(height);
  expect(png.rows.every((row) => row.length === width * 3)).toBe(true);
});

it("fills the image with many colours from edge to edge", async () => {
  const { rows } = await readPng(await drawOne());
  const colours = new Set(rows.flatMap((row) => [row.subarray(0, 3).join(), row.subarray(-3).join()]));
  expect(colours.size).toBeGreaterThan(32);
});

it.each<[string, Call]>([
  ["another generation", { generationId: "gen_b" }],
  ["another model name, user and moderation", { providerModel: "x", endUser: "someone", moderation: "low" }],
  ["quality auto, which is medium", { renderQuality: "auto" }],
])("draws the same bytes for %s", async (_, changes) => {
  expect(await drawOne(changes)).toEqual(await drawOne());
});

it("draws the same bytes for the same references", async () => {
  const call = { references: [reference("a cat"), reference("a dog")] };
  expect(await drawOne(call)).toEqual(await drawOne(call));
});

it.each<[string, Call]>([
  ["prompt", { prompt: "a lighthouse at night" }],
  ["prompt by one letter", { prompt: "A lighthouse at dusk" }],
  ["index", { offset: 1 }],
  ["background", { background: "opaque" }],
  ["reference", { references: [reference("a cat")] }],
  ["low quality", { renderQuality: "low" }],
  ["high quality", { renderQuality: "high" }],
])("draws clearly another picture for another %s", async (_, changes) => {
  const [one, other] = await Promise.all([readPng(await drawOne()), readPng(await drawOne(changes))]);
  const differing = one.rows.flatMap((row, y) =>
    Array.from(row, (value, at) => Math.abs(value - (other.rows[y]?.[at] ?? 0)) > 6),
  );
  const share = differing.filter(Boolean).length / differing.length;
  expect(share).toBeGreaterThan("renderQuality" in changes ? 0.005 : 0.25);
});

it("distinguishes references by content and order", async () => {
  const [cat, dog] = [reference("a cat"), reference("a dog")];
  const images = await Promise.all(
    [[cat], [dog], [cat, dog], [dog, cat]].map((references) => drawOne({ references })),
  );
  expect(new Set(images.map((image) => image.join())).size).toBe(4);
});

it("numbers images from the offset, so that a retry draws the missing ones", async () => {
  const whole = await draw({ n: 4 });
  expect(new Set(whole.map((image) => image.join())).size).toBe(4);
  expect(await draw({ n: 2, offset: 2 })).toEqual(whole.slice(2));
});

it.each<[string, Call, string]>([
  ["jpeg", { outputFormat: "jpeg" }, "invalid"],
  ["an edge too long", { size: { width: EDGE_PIXELS_MAX + 1, height: 16 } }, "invalid"],
  ["no height", { size: { width: 16, height: 0 } }, "invalid"],
  ["an aborted signal", { signal: AbortSignal.abort() }, "unavailable"],
  [
    "a reference that breaks off",
    { references: [{ ...reference("x"), open: async () => broken() }] },
    "unavailable",
  ],
  [
    "a reference that is gone",
    { references: [{ ...reference("x"), open: () => Promise.reject(new Error("gone")) }] },
    "unavailable",
  ],
])("refuses %s", async (_, call, reason) => {
  const error = await draw(call).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ProviderError);
  expect(error).toMatchObject({ failure: { reason } });
});

/** The size in the header of an image, of which no more than its beginning is drawn. */
async function sizeDrawn(changes: Partial<ImageRequest>) {
  const request = { ...REQUEST, renderQuality: "low", ...changes } as const;
  for await (const { body } of sketch.generate(request, {
    references: [],
    signal: AbortSignal.timeout(60_000),
  })) {
    const reader = body.getReader();
    const [, header, rows] = [await reader.read(), await reader.read(), await reader.read()];
    await reader.cancel();
    const bytes = header.value ?? new Uint8Array(16);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    expect(rows.value?.length).toBeGreaterThan(0);
    return { width: view.getUint32(8), height: view.getUint32(12) };
  }
  return null;
}

it.each([
  ["auto", "1K", 1024, 1024],
  ["16:9", "1K", 1280, 720],
  ["1:8", "2K", 720, 5760],
  ["8:1", "4K", 8064, 1008],
  ["16:9", "8K", 1024, 1024],
  ["wide", "1K", 1024, 1024],
])("draws size auto in ratio %s and tier %s as %i x %i", async (aspectRatio, tier, width, height) => {
  expect(await sizeDrawn({ size: "auto", aspectRatio, tier })).toEqual({ width, height });
});

it.each(models)("draws the largest size of $id", async (model) => {
  const tier = model.supported_qualities.at(-1) ?? "1K";
  const ratio = model.supported_aspect_ratios.findLast((name) => name !== "auto") ?? "1:1";
  const size = modelSizeOf(model, ratio, tier);
  expect(await sizeDrawn({ size, aspectRatio: ratio, tier })).toEqual(size);
});

it("draws the longest edge", async () => {
  const png = await readPng(
    await drawOne({ size: { width: EDGE_PIXELS_MAX, height: 16 }, renderQuality: "low" }),
  );
  expect(png.width).toBe(EDGE_PIXELS_MAX);
});

it("fails a body whose signal is aborted while it is read", async () => {
  const abort = new AbortController();
  const images = sketch.generate(
    { ...REQUEST, size: { width: 512, height: 512 } },
    { references: [], signal: abort.signal },
  );
  for await (const { body } of images) {
    const reader = body.getReader();
    await reader.read();
    abort.abort();
    const error = await readToEnd(reader).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: "ProviderError", failure: { reason: "unavailable" } });
    break;
  }
});

it("understands Turkish words like English ones", () => {
  expect(readWishes("Gece denizde kırmızı bir yelken")).toMatchObject({
    time: "night",
    place: "sea",
    hue: 0.4,
  });
  expect(readWishes("Mountains, lakes and birds at dawn").features).toEqual(new Set(["water", "birds"]));
  expect(readWishes("something else")).toMatchObject({ time: null, place: null, hue: null });
});

async function readToEnd(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  for (let part = await reader.read(); !part.done; ) part = await reader.read();
}

function broken(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.error(new Error("cut")) });
}
