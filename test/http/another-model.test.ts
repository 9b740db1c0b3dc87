import { createExecutionContext, env } from "cloudflare:test";
import { beforeAll, expect, it, vi } from "vitest";
import type { Model } from "../../src/catalogue/model.ts";
import { models } from "../../src/catalogue/models.ts";
import { newUser, ORIGIN, type TestUser } from "../support/http.ts";
import { holdQueue } from "../support/queue.ts";

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
  sizes: { kind: "listed", sizes: { "8:1": { "2K": "4096x512" } } },
  promptMax: 40_000,
  hasCompression: false,
  providerCosts: { "2K": 50_000 },
  routes: [{ provider: "fal", model: "elsewhere/another-one" }],
};

let site: { fetch: (request: Request, env: Env, context: ExecutionContext) => Promise<Response> };
let user: TestUser;

beforeAll(async () => {
  vi.doMock("../../src/catalogue/models/index.ts", () => ({ models: [...models, another] }));
  vi.resetModules();
  site = (await import("../../src/index.ts")).default;
  user = await newUser(1000);
});

async function ask(method: string, path: string, json?: object) {
  const headers = { Authorization: `Bearer ${user.key}`, "Content-Type": "application/json" };
  const body = json === undefined ? null : JSON.stringify({ prompt: "a hill", model: "another", ...json });
  const request = new Request(new URL(path, ORIGIN), { method, headers, body });
  const answer = await site.fetch(request, env, createExecutionContext());
  return { status: answer.status, body: await answer.json() };
}

it("is listed with its own limits", async () => {
  expect(await ask("GET", "/api/v1/models/another")).toMatchObject({
    status: 200,
    body: {
      id: "another-1",
      supported_sizes: ["4096x512"],
      supported_output_formats: ["webp"],
      operations: ["generate", "edit"],
      credits: { "2K": 77 },
      available: true,
    },
  });
  expect(await ask("GET", "/openai/v1/models/another-1")).toMatchObject({
    status: 200,
    body: { id: "another-1" },
  });
});

it("is priced by its own tiers, and answered with its id", async () => {
  holdQueue();
  expect(await ask("POST", "/api/v1/images/generations", { async: true, n: 6 })).toMatchObject({
    status: 202,
    body: { model: "another-1", aspect_ratio: "8:1", quality: "2K", usage: { credits_requested: 6 * 77 } },
  });
});

it.each<[object, string]>([
  [{ n: 7 }, "n"],
  [{ size: "1024x1024" }, "size"],
  [{ prompt: "a".repeat(40_001) }, "prompt"],
  [{ output_format: "png" }, "output_format"],
  [{ quality: "high" }, "quality"],
])("has its own limits: %j", async (fields, param) => {
  expect(await ask("POST", "/api/v1/images/generations", fields)).toMatchObject({
    status: 400,
    body: { error: { param } },
  });
});

it.each(["/", "/docs", "/tr/docs"])("is on the page %s with its price", async (path) => {
  const answer = await site.fetch(new Request(new URL(path, ORIGIN)), env, createExecutionContext());
  const page = await answer.text();
  expect(page).toContain("Another One");
  expect(page).toMatch(/77 (credits|kredi)/);
});
