import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./generated";

const client = createClient<paths>({
  baseUrl: process.env["GIH_URL"] ?? "",
  headers: { Authorization: `Bearer ${process.env["GIH_KEY"]}` },
});
const models = await client.GET("/api/v1/models");
assert.ok(models.data?.data.some(({ id }) => id === "gpt-image-2"));

const body = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };
const made = await client.POST("/api/v1/images/generations", { body });
assert.equal(made.data?.status, "succeeded");

const refused = await client.POST("/api/v1/images/generations", { body: { ...body, size: "1x1" } });
assert.equal(refused.error?.error.param, "size");
