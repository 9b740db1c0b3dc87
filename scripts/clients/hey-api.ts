import assert from "node:assert/strict";
import { createGeneration, listModels } from "./generated";
import { client } from "./generated/client.gen";

client.setConfig({ baseUrl: process.env["GIH_URL"] ?? "", auth: process.env["GIH_KEY"] ?? "" });
const models = await listModels();
assert.ok(models.data?.data.some(({ id }) => id === "gpt-image-2"));

const body = { model: "gpt-image-2", prompt: "a lighthouse at dusk", size: "1024x1024" };
const made = await createGeneration({ body });
assert.equal(made.data?.status, "succeeded");

const refused = await createGeneration({ body: { ...body, size: "1x1" } });
assert.equal(refused.error?.error.param, "size");
