import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { UsageError } from "./arguments.ts";

/** Where the service is, and the key. */
export type Settings = { url: string; key: string };

/**
 * The settings of a command: from its options, the environment, or `login`. A stored key goes to the service that it was
 * stored for, and to no other.
 * @throws {UsageError} if one is missing
 */
export async function readSettings(option: string | undefined): Promise<Settings> {
  const { GIH_URL, GIH_KEY } = process.env;
  const stored = await readStored();
  const url = option || GIH_URL || stored?.url;
  if (!url) throw new UsageError("No service: set GIH_URL, or use --url or login.");
  const key = GIH_KEY || (stored?.url === url ? stored.key : undefined);
  if (!key) throw new UsageError(`No API key for ${url}: set GIH_KEY, or use login.`);
  return { url, key };
}

/** Stores the settings in a file that only its owner can read. Returns its path. */
export async function store(settings: Settings): Promise<string> {
  const { directory, file } = paths();
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // A new file has the mode that it is created with; an old one would keep its own.
  const next = `${file}.${process.pid}`;
  await writeFile(next, `${JSON.stringify(settings, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  await rename(next, file);
  return file;
}

async function readStored(): Promise<Partial<Settings> | null> {
  const { file } = paths();
  const text = await readFile(file, "utf8").catch(() => null);
  if (text === null) return null;
  try {
    const stored: Partial<Settings> = JSON.parse(text);
    return stored;
  } catch {
    throw new UsageError(`${file} is damaged. Run login again.`);
  }
}

function paths() {
  const directory = join(process.env["XDG_CONFIG_HOME"] || join(homedir(), ".config"), "gpt-image-hub");
  return { directory, file: join(directory, "settings.json") };
}
