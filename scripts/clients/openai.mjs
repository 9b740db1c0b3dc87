import assert from "node:assert/strict";
import OpenAI, { toFile } from "openai";

const { GIH_URL, GIH_KEY } = process.env;
const { images } = new OpenAI({ apiKey: GIH_KEY, baseURL: `${GIH_URL}/openai/v1` });
const asked = { model: "gpt-image-2", prompt: "a lighthouse at dusk" };

const [first] = (await images.generate(asked)).data;
assert.match(first.b64_json, /^iVBORw0KGgo/);

const png = Buffer.from(first.b64_json, "base64");
const image = await Promise.all(["a.png", "b.png"].map((file) => toFile(png, file, { type: "image/png" })));
const [edited] = (await images.edit({ ...asked, image })).data;
assert.match(edited.b64_json, /^iVBORw0KGgo/);

await assert.rejects(images.generate({ ...asked, model: "dall-e-3" }), (error) => {
  assert.ok(error instanceof OpenAI.NotFoundError);
  assert.equal(error.code, "model_not_found");
  return true;
});
