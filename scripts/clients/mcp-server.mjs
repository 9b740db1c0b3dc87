import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

/** The server's entry file and its tool are arguments. These servers always ask for gpt-image-1. */
const { GIH_URL = "", GIH_KEY = "", HOME = "" } = process.env;
const [entry, name] = process.argv.slice(2);
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [entry],
  env: { HOME, OPENAI_API_KEY: GIH_KEY, OPENAI_BASE_URL: `${GIH_URL}/openai/v1`, GPT_IMAGE_OUTPUT_DIR: HOME },
  stderr: "ignore",
});
const client = new Client({ name: "clients", version: "1.0.0" });
await client.connect(transport);
try {
  const { tools } = await client.listTools();
  assert.ok(tools.some((tool) => tool.name === name));
  const answer = await client.callTool({ name, arguments: { prompt: "a lighthouse at dusk" } });
  assert.match(JSON.stringify(answer), /There is no such model here: use gpt-image-2/);
} finally {
  await client.close();
}
