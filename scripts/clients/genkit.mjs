import assert from "node:assert/strict";
import { openAI } from "@genkit-ai/compat-oai/openai";
import { genkit } from "genkit";

const { GIH_URL, GIH_KEY } = process.env;
const ai = genkit({ plugins: [openAI({ apiKey: GIH_KEY, baseURL: `${GIH_URL}/openai/v1` })] });
const { media } = await ai.generate({
  model: openAI.model("gpt-image-1"),
  config: { version: "gpt-image-2" },
  prompt: "a lighthouse at dusk",
});
assert.match(media.url, /^data:image\/png;base64,iVBORw0KGgo/);
