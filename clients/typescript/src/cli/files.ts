import { existsSync, statSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { extname, join, parse } from "node:path";
import type { GenerationRequest, Image } from "../api.ts";
import type { Client } from "../client.ts";
import { UsageError } from "./arguments.ts";

const NAME_LENGTH_MAX = 60;
const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ["image/png", ".png"],
  ["image/jpeg", ".jpg"],
  ["image/webp", ".webp"],
]);
const FORMATS: ReadonlyMap<string, "png" | "jpeg" | "webp"> = new Map([
  [".png", "png"],
  [".jpg", "jpeg"],
  [".jpeg", "jpeg"],
  [".webp", "webp"],
]);

/** The format that the name of a file asks for. A PNG is left to the model, since most make it by default. */
export function formatOf(output: string | undefined): "jpeg" | "webp" | undefined {
  const format = FORMATS.get(extname(output ?? "").toLowerCase());
  return format === "png" ? undefined : format;
}

/**
 * Where each image is saved. A name that was given is used, and its file replaced; several images are numbered. A name
 * made from the prompt never replaces a file.
 */
export function pathsFor(images: readonly Image[], output: string | undefined, title: string): string[] {
  const isDirectory = output !== undefined && (/[/\\]$/.test(output) || isFolder(output));
  const given = output !== undefined && !isDirectory ? parse(output) : null;
  return images.map(({ content_type }, index) => {
    const number = images.length === 1 ? "" : `-${index + 1}`;
    const extension = EXTENSIONS.get(content_type) ?? "";
    if (given) return join(given.dir, `${given.name}${number}${given.ext || extension}`);
    return unused(join(isDirectory ? output : "", `${slugOf(title)}${number}`), extension);
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function unused(path: string, extension: string): string {
  let name = path + extension;
  for (let copy = 2; existsSync(name); copy++) name = `${path}-${copy}${extension}`;
  return name;
}

function slugOf(title: string): string {
  const words = title.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-");
  return words.slice(0, NAME_LENGTH_MAX).replaceAll(/^-+|-+$/g, "") || "image";
}

/** Saves an image, or writes it to standard output. Returns its bytes. */
export async function save(client: Client, image: Image, path: string, signal: AbortSignal) {
  const bytes = await client.download(image, { signal });
  if (path !== "-") await writeFile(path, bytes);
  else await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
  return bytes;
}

type References = { references?: Blob[]; reference_images?: GenerationRequest["reference_images"] };

/** Files are sent with the request. Beside URLs or ids, which a form cannot carry, they are uploaded before it. */
export async function readReferences(
  client: Client,
  given: readonly string[],
  signal: AbortSignal,
): Promise<References> {
  const isFile = (entry: string) => !/^https?:\/\//i.test(entry) && !/^ref_[0-9A-Z]{26}$/.test(entry);
  if (given.length === 0) return {};
  if (given.every(isFile)) return { references: await Promise.all(given.map(openImage)) };
  const entries: string[] = [];
  for (const entry of given) {
    if (!isFile(entry)) entries.push(entry);
    else entries.push((await client.uploadReference(await openImage(entry), { signal })).id);
  }
  return { reference_images: entries };
}

async function openImage(path: string): Promise<Blob> {
  try {
    return new Blob([await readFile(path)]);
  } catch {
    throw new UsageError(`${path} cannot be read.`);
  }
}
