import { describe, expect, it } from "vitest";
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
  credits: { "1K": 8, "2K": 10, "4K": 12 },
  reference_image_limit: 16,
  max_images: 4,
};

describe("GET /api/v1/models", () => {
  it("lists the models, without a key", async () => {
    const answer = await call("GET", "/api/v1/models");
    expect([answer.status, answer.body]).toEqual([200, { object: "list", data: [gptImage2] }]);
    expect(answer.headers.get("Cache-Control")).toBe("no-store");
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

  it.each(["gpt-image-1", "GPT-IMAGE-2", "gpt-image-2%20", "__proto__", "%ff", "gpt-image-2%00"])(
    "answers 404 to %s",
    async (id) => {
      const answer = await call("GET", `/api/v1/models/${id}`);
      expect(refusal(answer)).toMatchObject({ status: 404, code: "notFound", param: null });
    },
  );
});
