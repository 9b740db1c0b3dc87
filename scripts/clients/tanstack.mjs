import assert from "node:assert/strict";
import { generateImage } from "@tanstack/ai";
import { createOpenaiImage } from "@tanstack/ai-openai";

const { GIH_URL, GIH_KEY } = process.env;
const adapter = createOpenaiImage("gpt-image-2", GIH_KEY, { baseURL: `${GIH_URL}/openai/v1` });
const { images } = await generateImage({ adapter, prompt: "a lighthouse at dusk", size: "1024x1024" });
assert.match(images[0].b64Json, /^iVBORw0KGgo/);
