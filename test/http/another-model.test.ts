import { beforeAll, expect, it } from "vitest";
import type { Model } from "../../src/catalogue/model.ts";
import { models } from "../../src/catalogue/models/index.ts";

/** A model that one more file and one more line in the index would add: every door and every page knows it. */
const another: Model = {
  ...models[0],
  id: "another-1",
  aliases: ["elsewhere/another-1", "another"],
  name: "Another One",
  provider: "elsewhere",
  provider_model: "another-one",
  default_aspect_ratio: "8:1",
  default_quality: "2K",
  supported_qualities: ["2K"],
  supported_aspect_ratios: ["8:1"],
  supported_render_qualities: ["auto"],
  supported_output_formats: ["webp"],
  credits: { "2K": 77 },
  reference_image_limit: 1,
  max_images: 6,
  sizes: { kind: "listed", sizes: { "8:1": { "2K": "768x96" } } },
  promptMax: 1_000,
  hasCompression: false,
  providerCosts: { "2K": 50_000 },
  routes: [{ provider: "fal", model: "elsewhere/another-one" }],
};

type Support = typeof import("../support/http.ts");
let support: Support;
let key: string;

/** Everything else is loaded after the model has been added, as if its line stood in the index. */
beforeAll(async () => {
  Reflect.apply(Array.prototype.push, models, [another]);
  support = await import("../support/http.ts");
  ({ key } = await support.newUser(1000));
});

const generate = (fields: object) =>
  support.call("POST", "/api/v1/images/generations", {
    key,
    json: { model: "another", prompt: "a hill", ...fields },
  });

it("is listed with its own limits, at both doors", async () => {
  const { body } = await support.call("GET", "/api/v1/models/another");
  expect(body).toMatchObject({
    ...{ id: "another-1", supported_sizes: ["768x96"], supported_output_formats: ["webp"] },
    ...{ operations: ["generate", "edit"], credits: { "2K": 77 }, available: true },
  });
  const answer = await support.call("GET", "/openai/v1/models/another-1", { key });
  expect(answer).toMatchObject({ status: 200, body: { id: "another-1" } });
});

it("is drawn in its own shape, at its own price, and answered with its id", async () => {
  expect(await generate({ n: 6 })).toMatchObject({
    status: 200,
    body: {
      ...{ model: "another-1", aspect_ratio: "8:1", quality: "2K", usage: { credits: 6 * 77 } },
      images: Array.from({ length: 6 }, () => ({ width: 768, height: 96 })),
    },
  });
});

it.each<[object, string]>([
  [{ n: 7 }, "n"],
  [{ size: "1024x1024" }, "size"],
  [{ output_format: "png" }, "output_format"],
  [{ quality: "high" }, "quality"],
])("has its own limits: %j", async (fields, param) => {
  expect(await generate(fields)).toMatchObject({ status: 400, body: { error: { param } } });
});

it("takes prompts as long as its own limit", async () => {
  expect(await generate({ prompt: "a".repeat(1_000) })).toMatchObject({ status: 200 });
  const refused = await generate({ prompt: "a".repeat(1_001) });
  expect(refused).toMatchObject({ status: 400, body: { error: { param: "prompt" } } });
});

it.each(["/", "/docs", "/tr/docs"])("is on the page %s with its price", async (path) => {
  const page = await (await support.respond("GET", path)).text();
  expect(page).toContain("Another One");
  expect(page).toMatch(/77 (credits|kredi)/);
});
