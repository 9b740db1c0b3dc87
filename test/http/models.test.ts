import { describe, expect, it } from "vitest";
import * as z from "zod";
import { models } from "../../src/catalogue/models.ts";
import { call } from "../support/http.ts";
import { refusal } from "../support/shapes.ts";

const gptImage2 = {
  id: "gpt-image-2",
  aliases: ["openai/gpt-image-2", "gpt-image-2-2026-04-21"],
  object: "model",
  name: "GPT IMAGE 2",
  provider: "openai",
  provider_model: "gpt-image-2",
  owned_by: "openai",
  created: 1776729600,
  default_aspect_ratio: "auto",
  default_quality: "1K",
  supported_qualities: ["1K", "2K", "4K"],
  supported_aspect_ratios: [
    ...["auto", "1:1", "4:3", "3:4", "3:2", "2:3", "16:9", "9:16"],
    ...["5:4", "4:5", "21:9", "9:21", "2:1", "1:2", "3:1", "1:3"],
  ],
  supported_render_qualities: ["auto", "low", "medium", "high"],
  supported_sizes: null,
  supported_output_formats: ["png", "jpeg", "webp"],
  operations: ["generate", "edit"],
  credits: { "1K": 8, "2K": 10, "4K": 12 },
  reference_image_limit: 16,
  max_images: 4,
  available: true,
};

const flux1Schnell = {
  id: "flux-1-schnell",
  aliases: ["cloudflare/flux-1-schnell"],
  object: "model",
  name: "FLUX.1 [schnell]",
  provider: "cloudflare",
  provider_model: "@cf/black-forest-labs/flux-1-schnell",
  owned_by: "black-forest-labs",
  created: Date.UTC(2024, 7, 1) / 1000,
  default_aspect_ratio: "1:1",
  default_quality: "1K",
  supported_qualities: ["1K"],
  supported_aspect_ratios: ["1:1"],
  supported_render_qualities: ["auto"],
  supported_sizes: ["1024x1024"],
  supported_output_formats: ["jpeg"],
  operations: ["generate"],
  credits: { "1K": 1 },
  reference_image_limit: 0,
  max_images: 4,
  available: true,
};

/** A deployment that has OpenAI only. */
const onlyOpenAI = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-test" };

const idsOf = ({ body }: { body: unknown }) =>
  z
    .object({ data: z.array(z.object({ id: z.string() })) })
    .parse(body)
    .data.map(({ id }) => id);

describe("GET /api/v1/models", () => {
  it("lists the models, without a key", async () => {
    const answer = await call("GET", "/api/v1/models");
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({
      object: "list",
      data: expect.arrayContaining([gptImage2, flux1Schnell]),
    });
    expect(answer.headers.get("Cache-Control")).toBe("no-store");
  });

  it("lists every model where the built-in provider draws", async () => {
    expect(idsOf(await call("GET", "/api/v1/models"))).toEqual(models.map(({ id }) => id));
  });

  it("lists only the models that the deployment has a route for", async () => {
    const answer = await call("GET", "/api/v1/models", { settings: onlyOpenAI });
    expect(answer.body).toEqual({ object: "list", data: [gptImage2] });
  });

  it("lists the default model without any route, as not available", async () => {
    const answer = await call("GET", "/api/v1/models", { settings: { IMAGE_PROVIDER: "openai" } });
    expect(answer.body).toEqual({ object: "list", data: [{ ...gptImage2, available: false }] });
  });

  it.each(["Bearer nonsense", "Basic abc", ""])("ignores credentials: %j", async (value) => {
    const answer = await call("GET", "/api/v1/models", { headers: { Authorization: value } });
    expect(answer.status).toBe(200);
  });

  it("answers HEAD with the headers alone", async () => {
    const answer = await call("HEAD", "/api/v1/models");
    expect([answer.status, answer.text]).toEqual([200, ""]);
    expect(answer.headers.get("Content-Type")).toBe("application/json");
  });
});

describe("GET /api/v1/models/:id", () => {
  it("gives one model", async () => {
    const answer = await call("GET", "/api/v1/models/gpt-image-2");
    expect([answer.status, answer.body]).toEqual([200, gptImage2]);
  });

  it.each([
    ["gpt-image-2-2026-04-21", gptImage2],
    ["flux-1-schnell", flux1Schnell],
    ["cloudflare%2Fflux-1-schnell", flux1Schnell],
  ])("gives the model of %s", async (name, model) => {
    expect((await call("GET", `/api/v1/models/${name}`)).body).toEqual(model);
  });

  it("answers 404 to a model that the deployment has no route for", async () => {
    const answer = await call("GET", "/api/v1/models/flux-2-pro", { settings: onlyOpenAI });
    expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound" });
  });

  it.each(["gpt-image-1", "GPT-IMAGE-2", "gpt-image-2%20", "__proto__", "%ff", "gpt-image-2%00"])(
    "answers 404 to %s",
    async (id) => {
      const answer = await call("GET", `/api/v1/models/${id}`);
      expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound", param: null });
    },
  );
});
