import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Generation, GenerationFilter, GenerationRequest } from "../api.ts";
import { type Client, createClient } from "../client.ts";
import { type Command, countOf, HELP, type Options, readCommand, UsageError } from "./arguments.ts";
import { formatOf, pathsFor, readReferences, save } from "./files.ts";
import { readSettings, store } from "./settings.ts";
import { Progress, previewOf, readInput, readSecret } from "./terminal.ts";

const MODEL = "gpt-image-2";
const LISTED = 20;

type Call = { client: Client; options: Options; signal: AbortSignal };

/**
 * Runs the command of these arguments.
 * @throws {UsageError} for arguments that are not understood, and what the client throws
 */
export async function run(args: string[], signal: AbortSignal): Promise<void> {
  const command = readCommand(args);
  const { name, options, operands } = command;
  switch (name) {
    case "help":
      return print(HELP.trimEnd());
    case "version":
      return print(await readVersion());
    case "login":
      return await login(options, signal);
    default: {
      const { url, key } = await readSettings(options.url);
      await runWith({ client: clientOf(url, key), options, signal }, name, operands[0] ?? "");
    }
  }
}

type Remote = Exclude<Command["name"], "help" | "version" | "login">;

async function runWith(call: Call, name: Remote, operand: string): Promise<void> {
  switch (name) {
    case "generate":
      return await generate(call, operand);
    case "get":
      return await get(call, operand);
    case "list":
      return await list(call);
    case "cancel":
      return show(await call.client.cancel(operand, call), call.options);
    case "delete":
      return await call.client.delete(operand, call);
    case "models":
      return await models(call);
    case "credits":
      return await credits(call);
    case "usage":
      return await usage(call);
  }
}

/** @throws {UsageError} for a URL or a key of another form */
function clientOf(baseUrl: string, apiKey: string): Client {
  try {
    return createClient({ baseUrl, apiKey });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function generate({ client, options, signal }: Call, operand: string): Promise<void> {
  const prompt = operand === "-" ? await readInput() : operand;
  const n = countOf("-n", options.n);
  if (options.output === "-" && (n ?? 1) > 1) throw new UsageError("Standard output takes one image.");
  const fields = {
    ...{ model: options.model ?? MODEL, prompt, n, size: options.size, quality: options.quality },
    ...{ aspect_ratio: options["aspect-ratio"], resolution: options.resolution },
    output_format: options.format ?? formatOf(options.output),
  };
  // References do not change the price.
  if (options.estimate) return await estimate({ client, options, signal }, fields);
  const { references, reference_images } = await readReferences(client, options.ref ?? [], signal);
  const progress = new Progress();
  let id: string | undefined;
  try {
    const request = { ...fields, reference_images };
    const idempotencyKey = options["idempotency-key"];
    const submitted = await client.submit(request, { references, idempotencyKey, signal });
    id = submitted.id;
    progress.show(submitted);
    if (options.async) {
      progress.stop();
      return options.json ? printJson(submitted) : print(id);
    }
    const onProgress = (generation: Generation) => progress.show(generation);
    const generation = await client.wait(id, { onProgress, signal });
    progress.stop();
    await deliver({ client, options, signal }, generation, prompt);
  } finally {
    progress.stop();
    if (signal.aborted && id !== undefined)
      process.stderr.write(`The generation continues. Save it with: gpt-image-hub get ${id} -o image.png\n`);
  }
}

async function estimate({ client, options, signal }: Call, request: GenerationRequest): Promise<void> {
  const price = await client.estimate(request, { signal });
  if (options.json) return printJson(price);
  print(`${price.credits} credits\t${price.balance.credits} left\t${price.n} x ${price.size}`);
}

/** Saves the images of a generation, and says what they are and cost. */
async function deliver({ client, options, signal }: Call, generation: Generation, title: string) {
  const { images, usage, id } = generation;
  const paths = options.output === "-" ? ["-"] : pathsFor(images, options.output, title);
  for (const [index, image] of images.entries()) {
    const path = paths[index];
    if (path === undefined) break;
    const bytes = await save(client, image, path, signal);
    if (path === "-" || options.json) continue;
    const preview = process.stdout.isTTY && !options["no-preview"];
    const shown = preview ? previewOf(bytes, image.content_type, process.env) : null;
    if (shown !== null) process.stdout.write(shown);
    print(`${path}  ${image.width}x${image.height}  ${Math.ceil(image.bytes / 1024)} KiB`);
  }
  if (options.json && options.output !== "-") return printJson({ ...generation, files: paths });
  const left = await client.credits({ signal }).catch(() => null);
  const balance = left === null ? "" : `, ${left.credits} left`;
  process.stderr.write(`${usage.credits} credits${balance}  ${id}\n`);
}

async function get(call: Call, id: string): Promise<void> {
  const { client, options, signal } = call;
  if (options.output === undefined) return show(await client.get(id, { signal }), options);
  const progress = new Progress();
  try {
    const onProgress = (generation: Generation) => progress.show(generation);
    const generation = await client.wait(id, { onProgress, signal });
    progress.stop();
    await deliver(call, generation, id);
  } finally {
    progress.stop();
  }
}

async function list({ client, options, signal }: Call): Promise<void> {
  const filter: GenerationFilter = { status: options.status, model: options.model };
  let left = countOf("--limit", options.limit) ?? LISTED;
  for await (const generation of client.list(filter, { signal })) {
    if (options.json) printJson(generation);
    else print(rowOf(generation));
    left -= 1;
    if (left === 0) return;
  }
}

async function models({ client, options, signal }: Call): Promise<void> {
  for (const model of await client.models({ signal })) {
    if (options.json) printJson(model);
    else {
      const prices = Object.entries(model.credits).map(([resolution, price]) => `${resolution} ${price}`);
      print(
        [model.id, model.name, `${prices.join(", ")} credits`, model.available ? "" : "not available"].join(
          "\t",
        ),
      );
    }
  }
}

async function credits({ client, options, signal }: Call): Promise<void> {
  const balance = await client.credits({ signal });
  if (options.json) return printJson(balance);
  const expiry = balance.next_expiration === null ? "" : `\tthe next expire at ${balance.next_expiration}`;
  print(`${balance.credits} credits${expiry}`);
}

async function usage({ client, options, signal }: Call): Promise<void> {
  for (const row of await client.usage({ from: options.from, to: options.to }, { signal })) {
    if (options.json) printJson(row);
    else {
      const { day, api_key_id, model, generations, images, credits: spent } = row;
      const labels = [day, api_key_id ?? "pages", model ?? "unknown model"];
      print([...labels, `${generations} generations`, `${images} images`, `${spent} credits`].join("\t"));
    }
  }
}

/** Checks a key and stores it. */
async function login({ url: option }: Options, signal: AbortSignal): Promise<void> {
  const url = option || process.env["GIH_URL"];
  if (!url) throw new UsageError("Say where the service is: login --url https://hub.example.org");
  const key = process.env["GIH_KEY"] || (await readSecret("API key: "));
  if (key === "") throw new UsageError("No API key was given.");
  const { credits: left } = await clientOf(url, key).credits({ signal });
  const file = await store({ url, key });
  print(`Stored in ${file}. The balance is ${left} credits.`);
}

function show(generation: Generation, { json }: Options): void {
  if (json) {
    printJson(generation);
    return;
  }
  print(rowOf(generation));
  for (const { url } of generation.images) print(url);
}

function rowOf({ id, status, usage, created_at, model }: Generation): string {
  return [id, status, `${usage.credits} credits`, created_at, model].join("\t");
}

async function readVersion(): Promise<string> {
  const manifest: { version: string } = JSON.parse(
    await readFile(join(fileURLToPath(import.meta.url), "../../../package.json"), "utf8"),
  );
  return manifest.version;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printJson(value: unknown): void {
  print(JSON.stringify(value));
}
