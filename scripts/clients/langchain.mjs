import assert from "node:assert/strict";
import { DallEAPIWrapper } from "@langchain/openai";

const { GIH_URL, GIH_KEY } = process.env;
const tool = new DallEAPIWrapper({ model: "gpt-image-2", apiKey: GIH_KEY, baseUrl: `${GIH_URL}/openai/v1` });
const url = await tool.invoke("a lighthouse at dusk");
const image = await fetch(url);
assert.equal(image.status, 200);
