/**
 * Runs older versions of clients against a running service, unmodified: `GIH_URL=… GIH_KEY=… npm run clients`. They are
 * installed in a temporary folder, which needs the network, because their dependencies exclude each other. Use a test key.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Failure, main, run } from "./lib.mjs";

const MODEL = "gpt-image-2";
const PROMPT = "a lighthouse at dusk";
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==",
  "base64",
);

/** By the name under which it is installed. */
const PACKAGES = {
  "openai-3": "openai@3.3.0",
  "openai-4": "openai@4.104.0",
  "openai-5": "openai@5.23.2",
  "openai-6": "openai@6.49.0",
  "ai-4": "ai@4",
  "ai-4-openai": "@ai-sdk/openai@1",
  "ai-5": "ai@5",
  "ai-5-openai": "@ai-sdk/openai@2",
  "ai-6": "ai@6",
  "ai-6-openai": "@ai-sdk/openai@3",
  langchain: "@langchain/openai@latest",
  "@langchain/core": "@langchain/core@latest",
};

/** @typedef {{ load: (name: string) => Promise<any>, key: string, base: string }} Setting */

/** Each returns the base64 or the URL of an image. */
/** @type {[string, string, (setting: Setting) => Promise<unknown>][]} */
const TRIALS = [
  ["openai-3", "createImage", openai3],
  ...["openai-4", "openai-5", "openai-6"].flatMap(
    /** @returns {[string, string, (setting: Setting) => Promise<unknown>][]} */
    (name) => [
      [name, "images.generate", (setting) => openai(setting, name, false)],
      [name, "images.edit with two images", (setting) => openai(setting, name, true)],
    ],
  ),
  ["ai-4", "experimental_generateImage", (setting) => vercel(setting, "ai-4")],
  ["ai-5", "experimental_generateImage", (setting) => vercel(setting, "ai-5")],
  ["ai-6", "generateImage", (setting) => vercel(setting, "ai-6")],
  ["langchain", "DallEAPIWrapper, with the model set", langchain],
];

/** @param {Setting} setting */
async function openai3({ load, key, base }) {
  const { Configuration, OpenAIApi } = await load("openai-3");
  const api = new OpenAIApi(new Configuration({ apiKey: key, basePath: base }));
  return (await api.createImage({ prompt: PROMPT, n: 1, size: "1024x1024" })).data.data[0].b64_json;
}

/**
 * @param {Setting} setting
 * @param {string} name
 * @param {boolean} isEdit
 */
async function openai({ load, key, base }, name, isEdit) {
  const { default: OpenAI, toFile } = await load(name);
  const { images } = new OpenAI({ apiKey: key, baseURL: base });
  const asked = { model: MODEL, prompt: PROMPT };
  if (!isEdit) return (await images.generate(asked)).data[0].b64_json;
  const image = await Promise.all(["a.png", "b.png"].map((file) => toFile(PNG, file, { type: "image/png" })));
  return (await images.edit({ ...asked, image })).data[0].b64_json;
}

/**
 * @param {Setting} setting
 * @param {string} name
 */
async function vercel({ load, key, base }, name) {
  const { generateImage, experimental_generateImage } = await load(name);
  const { createOpenAI } = await load(`${name}-openai`);
  const model = createOpenAI({ apiKey: key, baseURL: base }).image(MODEL);
  const generate = generateImage ?? experimental_generateImage;
  return (await generate({ model, prompt: PROMPT, size: "1024x1024" })).image.base64;
}

/** @param {Setting} setting */
async function langchain({ load, key, base }) {
  const { DallEAPIWrapper } = await load("langchain");
  return await new DallEAPIWrapper({ model: MODEL, apiKey: key, baseUrl: base }).invoke(PROMPT);
}

await main(async (stop) => {
  const { GIH_URL: url, GIH_KEY: key } = process.env;
  if (!url || !key) throw new Failure("Set GIH_URL and GIH_KEY, as the README has them. Use a test key.");
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-clients-"));
  try {
    writeFileSync(join(directory, "package.json"), '{ "private": true }');
    const packages = Object.entries(PACKAGES).map(([name, spec]) =>
      name === "@langchain/core" ? spec : `${name}@npm:${spec}`,
    );
    const options = ["install", "--no-audit", "--no-fund", "--legacy-peer-deps"];
    const { code, output } = await run("npm", ["--prefix", directory, ...options, ...packages], { stop });
    if (code !== 0) throw new Failure(`The clients could not be installed:\n${output}`);
    const require = createRequire(join(directory, "package.json"));
    const load = async (/** @type {string} */ name) => {
      const module = await import(pathToFileURL(require.resolve(name)).href);
      return module.default?.OpenAI || module.default?.Configuration
        ? { ...module, ...module.default }
        : module;
    };
    let failed = 0;
    for (const [name, what, trial] of TRIALS) {
      const version = versionOf(directory, name);
      const picture = await trial({ load, key, base: `${url}/openai/v1` }).catch((error) => error);
      const isPicture = typeof picture === "string" && /^(iVBORw0KGgo|https?:)/.test(picture);
      if (!isPicture) failed += 1;
      console.log(
        `${isPicture ? "works " : "FAILED"} ${name} ${version}, ${what}${isPicture ? "" : `: ${picture}`}`,
      );
    }
    return failed === 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

/**
 * @param {string} directory
 * @param {string} name
 */
function versionOf(directory, name) {
  return JSON.parse(readFileSync(join(directory, "node_modules", name, "package.json"), "utf8")).version;
}
