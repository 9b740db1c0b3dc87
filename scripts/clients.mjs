/**
 * Runs the programs of scripts/clients, which use clients of others unmodified, against a running service:
 * `GIH_URL=… GIH_KEY=… npm run clients`, or `npm run clients -- genkit tanstack` for some. Use a test key. Each client is
 * installed in a temporary folder of its own, which needs the network. Checks the table in docs/clients.md, or writes
 * it with UPDATE_DOCS=1.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Failure, main, projectNode, root, run } from "./lib.mjs";

const OPENAPI = join(root, "public/openapi.json");
const GUIDE = join(root, "docs/clients.md");
const HEADING = "\n## Other clients and versions\n";
/** What compiles and runs the programs in TypeScript. */
const COMPILERS = ["typescript@5.9.3", "@types/node@22.20.5", "esbuild@0.28.2"];
const STRICT =
  "--strict --noEmit --skipLibCheck --target es2022 --lib es2022,dom,dom.iterable --module esnext";
const CALLS = "generate the client, compile it, list models, create a generation, read an error by its type";

/**
 * `packages` have exact versions; they are npm's, or pip's for a program in Python. `program` is a file of scripts/clients.
 * The commands begin with a tool of the packages: `generate` runs first, and `command` runs in place of the program
 * itself. `{dir}`, `{url}` and `{key}` are filled in.
 * @typedef {{ client: string, packages: string[], what: string, broke?: string, program?: string, generate?: string[],
 *   command?: string[] }} Trial
 */

/** @type {Record<string, Trial>} */
const SDKS = {
  "openai-3": {
    client: "OpenAI SDK for Node",
    packages: ["openai@3.3.0"],
    what: "createImage",
    program: "openai-3.mjs",
  },
  "openai-4": openai("OpenAI SDK for Node", ["openai@4.104.0"]),
  "openai-5": openai("OpenAI SDK for Node", ["openai@5.23.2"]),
  "openai-6": openai("OpenAI SDK for Node", ["openai@6.49.0"]),
  deno: {
    ...openai("OpenAI SDK in Deno", ["openai@7.57.0", "deno@2.9.6"]),
    command: ["deno", "run", "--allow-all", "{dir}/openai.mjs"],
  },
  bun: {
    ...openai("OpenAI SDK in Bun", ["openai@7.57.0", "bun@1.4.5"]),
    command: ["bun", "{dir}/openai.mjs"],
  },
  python: { ...openai("OpenAI SDK for Python", ["openai==3.22.1"]), program: "openai.py" },
  "ai-4": vercel(["ai@4.3.19", "@ai-sdk/openai@1.3.24", "zod@3.25.76"]),
  "ai-5": vercel(["ai@5.0.277", "@ai-sdk/openai@2.0.131", "zod@4.6.6"]),
  "ai-6": vercel(["ai@6.0.326", "@ai-sdk/openai@3.0.141", "zod@4.6.6"]),
  langchain: {
    client: "LangChain for JavaScript",
    packages: ["@langchain/openai@1.6.0", "@langchain/core@1.4.0"],
    what: "`DallEAPIWrapper`, with `model` set: a URL of an image",
    broke: "Its default model does not exist here: a 404 that names the models",
    program: "langchain.mjs",
  },
  genkit: {
    client: "Genkit",
    packages: ["genkit@1.42.0", "@genkit-ai/compat-oai@1.42.0"],
    what: 'generate, with `openAI.model("gpt-image-1")` and `config: { version: "gpt-image-2" }`',
    broke: "It takes the name `gpt-image-2` for a chat model: a 404 that says that there is no chat",
    program: "genkit.mjs",
  },
  tanstack: {
    client: "TanStack AI",
    packages: ["@tanstack/ai@0.58.0", "@tanstack/ai-openai@0.23.1"],
    what: "generateImage",
    program: "tanstack.mjs",
  },
};

/** @type {Record<string, Trial>} */
const GENERATORS = {
  "openapi-typescript": {
    client: "openapi-typescript, openapi-fetch",
    packages: ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0"],
    what: CALLS,
    program: "openapi-typescript.ts",
    generate: ["openapi-typescript", OPENAPI, "--output", "{dir}/generated.d.ts"],
  },
  "hey-api": {
    client: "@hey-api/openapi-ts",
    packages: ["@hey-api/openapi-ts@0.99.0"],
    what: CALLS,
    program: "hey-api.ts",
    generate: ["openapi-ts", "--input", OPENAPI, "--output", "{dir}/generated"],
  },
  orval: {
    client: "orval",
    packages: ["orval@8.38.0", "axios@1.13.2"],
    what: CALLS,
    broke:
      "Its client `fetch` does not compile: `uploadReference` takes a file or a form, and it sends both unchanged. Use `axios-functions`",
    program: "orval.ts",
    generate: ["orval", "--input", OPENAPI, "--output", "{dir}/generated.ts", "--client", "axios-functions"],
  },
  "swagger-typescript-api": {
    client: "swagger-typescript-api",
    packages: ["swagger-typescript-api@13.13.0"],
    what: CALLS,
    program: "swagger-typescript-api.ts",
    generate: ["swagger-typescript-api", "generate", "--path", OPENAPI, "--output", "{dir}/generated"],
  },
  postman: {
    client: "Postman, openapi-to-postmanv2",
    packages: ["openapi-to-postmanv2@6.3.3"],
    what: "convert the document, and send its requests, except the operator's, with the host and the key set",
    broke:
      "An invented cursor and the example of `X-Test-Scenario`: a 400. The example is fixed. Convert with `parametersResolution=Example,enableOptionalParameters=false`, and choose the files of uploads yourself",
    program: "postman.mjs",
    generate: [
      ...["openapi2postmanv2", "--spec", OPENAPI, "--output", "{dir}/collection.json"],
      ...["--options", "parametersResolution=Example,enableOptionalParameters=false"],
    ],
  },
};

/** @type {Record<string, Trial>} */
const MCP = {
  inspector: {
    client: "MCP Inspector's command line",
    packages: ["@modelcontextprotocol/inspector@2.12.0"],
    what: "call list_models at `/mcp`",
    command: [
      ...["mcp-inspector", "--cli", "{url}/mcp", "--transport", "http"],
      ...["--header", "Authorization: Bearer {key}", "--method", "tools/call", "--tool-name", "list_models"],
    ],
  },
  "mcp-napolab": mcpServer("@napolab/gpt-image-1-mcp", "1.1.0", "dist/index.js", "generate-image"),
  "mcp-cloudwerxlab": mcpServer("@cloudwerxlab/gpt-image-1-mcp", "3.2.0", "build/index.js", "create_image"),
};

const TRIALS = new Map(Object.entries({ ...SDKS, ...GENERATORS, ...MCP }));

/**
 * @param {string} client
 * @param {string[]} packages
 * @returns {Trial}
 */
function openai(client, packages) {
  const what = "generate; edit with two images; a 404 as the SDK's own class";
  return { client, packages, what, program: "openai.mjs" };
}

/**
 * @param {string[]} packages
 * @returns {Trial}
 */
function vercel(packages) {
  return { client: "Vercel AI SDK", packages, what: "generateImage", program: "ai.mjs" };
}

/**
 * A published MCP server that calls OpenAI's API, at `OPENAI_BASE_URL`.
 * @param {string} name
 * @param {string} version
 * @param {string} entry
 * @param {string} tool
 * @returns {Trial}
 */
function mcpServer(name, version, entry, tool) {
  return {
    client: `MCP server ${name}`,
    packages: [`${name}@${version}`, "@modelcontextprotocol/sdk@1.32.2"],
    what: `${tool}, with \`OPENAI_BASE_URL\`: the agent reads which models there are`,
    broke:
      "It makes no image: it always asks for `gpt-image-1`, which does not exist here. Agents use our own server at `/mcp`",
    program: "mcp-server.mjs",
    command: ["node", "{dir}/mcp-server.mjs", `{dir}/node_modules/${name}/${entry}`, tool],
  };
}

await main(async (stop) => {
  const { GIH_URL: url, GIH_KEY: key } = process.env;
  if (!url || !key) throw new Failure("Set GIH_URL and GIH_KEY, as the README has them. Use a test key.");
  const names = process.argv.slice(2);
  const unknown = names.find((name) => !TRIALS.has(name));
  if (unknown) throw new Failure(`There is no client ${unknown}: use ${[...TRIALS.keys()].join(", ")}.`);
  let failed = 0;
  for (const [name, trial] of TRIALS) {
    if (names.length > 0 && !names.includes(name)) continue;
    const problem = await attempt(trial, { url, key, stop });
    if (problem !== undefined) failed += 1;
    console.log(`${problem === undefined ? "works " : "FAILED"} ${name}, ${trial.packages.join(", ")}`);
    if (problem !== undefined) console.log(problem);
  }
  if (failed > 0) throw new Failure(`${failed} failed.`);
  if (names.length === 0) checkGuide();
  return 0;
});

/**
 * Installs the client in a temporary folder and runs its program there.
 * @param {Trial} trial
 * @param {{ url: string, key: string, stop: AbortSignal }} service
 * @returns {Promise<string | undefined>} the output of the command that failed, or undefined
 */
async function attempt(trial, { url, key, stop }) {
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-clients-"));
  const environment = { ...process.env, HOME: directory, GIH_URL: url, GIH_KEY: key };
  try {
    for (const command of commandsOf(trial, directory)) {
      const [tool = "", ...args] = command.map((part) =>
        part.replaceAll("{dir}", directory).replaceAll("{url}", url).replaceAll("{key}", key),
      );
      const isInstaller = ["npm", "python3", "pip"].includes(tool.split("/").at(-1) ?? "");
      const { code, output } = await run(tool, args, {
        stop,
        environment: isInstaller ? process.env : environment,
      });
      if (code !== 0) return output;
    }
    return undefined;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * @param {Trial} trial
 * @param {string} directory
 * @returns {string[][]}
 */
function commandsOf({ packages, program = "", generate, command }, directory) {
  if (program !== "") copyFileSync(join(root, "scripts/clients", program), join(directory, program));
  if (program.endsWith(".py"))
    return [
      ["python3", "-m", "venv", "{dir}/venv"],
      ["{dir}/venv/bin/pip", "install", "--quiet", ...packages],
      // Away from the program's folder, whose file openai.py would be imported in the place of the package.
      ["{dir}/venv/bin/python", "-P", `{dir}/${program}`],
    ];
  writeFileSync(join(directory, "package.json"), '{ "private": true, "type": "module" }');
  const isCompiled = program.endsWith(".ts");
  const wanted = isCompiled ? [...packages, ...COMPILERS] : packages;
  const install = ["npm", "--prefix", "{dir}", "install", "--no-audit", "--no-fund"];
  return [
    [...install, "--legacy-peer-deps", ...wanted],
    ...(generate === undefined ? [] : [toolOf(generate)]),
    ...(isCompiled ? compile(program) : [toolOf(command ?? ["node", `{dir}/${program}`, "{dir}"])]),
  ];
}

/** @param {string} program in TypeScript */
function compile(program) {
  const bundle = ["--bundle", "--platform=node", "--packages=external", "--format=esm"];
  return [
    toolOf(["tsc", ...STRICT.split(" "), "--moduleResolution", "bundler", `{dir}/${program}`]),
    toolOf(["esbuild", ...bundle, "--outfile={dir}/bundle.mjs", `{dir}/${program}`]),
    toolOf(["node", "{dir}/bundle.mjs"]),
  ];
}

/**
 * Node, or a tool that the packages install.
 * @param {string[]} command
 */
function toolOf([name = "", ...args]) {
  return [name === "node" ? projectNode : `{dir}/node_modules/.bin/${name}`, ...args];
}

/** Writes the table of docs/clients.md, or checks it. Every client in it has just worked. */
function checkGuide() {
  const guide = readFileSync(GUIDE, "utf8");
  const [before = ""] = guide.split(HEADING);
  const rows = [...TRIALS.values()].map(
    ({ client, packages, what, broke = "Nothing" }) =>
      `| ${client} | ${packages.map((spec) => spec.split(/==|(?<=.)@/).at(-1)).join(", ")} | ${what} | ${broke} |`,
  );
  const text = `${before}${HEADING}
\`npm run clients\` installs each of these in a temporary folder, runs it unmodified against a running service, and checks
this table. All of them work as the table says. The programs are in [scripts/clients](../scripts/clients).

| client | versions | operation | what broke first |
|---|---|---|---|
${rows.join("\n")}

LlamaIndex for TypeScript has no client of the image API: it makes images only as a tool of the Responses API.
LangChain's and LlamaIndex's packages for Python were not run.
`;
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(GUIDE, text);
  else if (guide !== text) throw new Failure("docs/clients.md is out of date: run this with UPDATE_DOCS=1.");
}
