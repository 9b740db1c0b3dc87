import { createExecutionContext, env } from "cloudflare:test";
import { expect, it, vi } from "vitest";
import { models } from "../../src/catalogue/models.ts";
import { app } from "../../src/http/app.ts";

vi.mock("../../src/catalogue/models/index.ts", async (original) => {
  const { models } = await original<{ models: readonly { id: string }[] }>();
  return { models: [...models, { ...models[0], id: "another-1", aliases: [] }] };
});

it("a", async () => {
  const a = await app.fetch(new Request("https://x/api/v1/models"), env, createExecutionContext());
  const t = await a.text();
  expect([models.length, t.includes("another-1")]).toEqual([7, true]);
});
