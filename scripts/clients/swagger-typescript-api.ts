import assert from "node:assert/strict";
import { Api, type NativeError } from "./generated/Api";

const { api } = new Api({
  baseUrl: process.env["GIH_URL"] ?? "",
  baseApiParams: { headers: { Authorization: `Bearer ${process.env["GIH_KEY"]}` }, format: "json" },
});
const models = await api.listModels();
assert.ok(models.data.data.some(({ id }) => id === "gpt-image-2"));

const body = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };
const made = await api.createGeneration(body);
assert.equal(made.data.status, "succeeded");

await assert.rejects(api.createGeneration({ ...body, size: "1x1" }), (response: { error: NativeError }) => {
  assert.equal(response.error.error.param, "size");
  return true;
});
