import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import * as ai from "ai";

const { GIH_URL, GIH_KEY } = process.env;
const model = createOpenAI({ apiKey: GIH_KEY, baseURL: `${GIH_URL}/openai/v1` }).image("gpt-image-2");
const generateImage = ai.generateImage ?? ai.experimental_generateImage;
const { image } = await generateImage({ model, prompt: "a lighthouse at dusk", size: "1024x1024" });
assert.match(image.base64, /^iVBORw0KGgo/);
