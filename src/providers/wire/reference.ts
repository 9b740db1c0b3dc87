import { Buffer } from "node:buffer";
import { encodeBase64 } from "../../images/base64.ts";
import { ImageScanner } from "../../images/format.ts";
import type { Reference } from "../provider.ts";

/** Width and height of a reference in pixels, read from its start; null when they cannot be read. */
export async function pixelsOf(reference: Reference): Promise<{ width: number; height: number } | null> {
  const scanner = new ImageScanner();
  for await (const chunk of await reference.open()) {
    if (scanner.write(chunk) === "invalid" || scanner.header !== null) break;
  }
  return scanner.header;
}

/** The whole reference as a data URL. For small ones only: it is held in memory. */
export async function dataUrlOf(reference: Reference): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of encodeBase64(await reference.open())) pieces.push(piece);
  return `data:${reference.contentType};base64,${Buffer.concat(pieces).toString("latin1")}`;
}
