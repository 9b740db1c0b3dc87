import assert from "node:assert/strict";
import axios from "axios";
import { createGeneration, listModels, type Native400Response } from "./generated";

const options = {
  baseURL: process.env["GIH_URL"] ?? "",
  headers: { Authorization: `Bearer ${process.env["GIH_KEY"]}` },
};
const models = await listModels(options);
assert.ok(models.data.data.some(({ id }) => id === "gpt-image-2"));

const body = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };
const made = await createGeneration(body, options);
assert.equal(made.data.status, "succeeded");

await assert.rejects(createGeneration({ ...body, size: "1x1" }, options), (error) => {
  assert.ok(axios.isAxiosError<Native400Response>(error));
  assert.equal(error.response?.data.error.param, "size");
  return true;
});
