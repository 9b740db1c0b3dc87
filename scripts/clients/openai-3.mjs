import assert from "node:assert/strict";
import { Configuration, OpenAIApi } from "openai";

const { GIH_URL, GIH_KEY } = process.env;
const api = new OpenAIApi(new Configuration({ apiKey: GIH_KEY, basePath: `${GIH_URL}/openai/v1` }));
const { data } = await api.createImage({ prompt: "a lighthouse at dusk", n: 1, size: "1024x1024" });
assert.match(data.data[0].b64_json, /^iVBORw0KGgo/);
