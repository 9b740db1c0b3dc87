import { TimeoutError, withTimeout } from "./time.ts";

export type TextLimits = {
  bytesMax: number;
  /** The longest pause between two chunks. */
  stallMsMax: number;
  /** The longest time for the whole body. */
  durationMsMax: number;
};

export type BodyText =
  | { kind: "text"; text: string }
  /** `too_slow`: the body exceeded a time limit. `broken`: the connection broke off. */
  | { kind: "empty" | "encoded" | "too_large" | "too_slow" | "not_utf8" | "broken" };

/** Whether the body has a content encoding, such as gzip. `identity` means none (RFC 9110, section 8.4). */
export function isEncoded(request: Request): boolean {
  const encoding = request.headers.get("Content-Encoding") ?? "";
  return !/^(identity)?$/i.test(encoding.trim());
}

/** Reads a request's body as UTF-8 text. Stops and cancels the body at the first exceeded limit. Never throws. */
export async function readBodyText(request: Request, limits: TextLimits): Promise<BodyText> {
  if (isEncoded(request)) return { kind: "encoded" };
  if (request.body === null) return { kind: "empty" };
  const reader = request.body.getReader();
  const outcome = await readAll(reader, limits);
  // Stops the sender; does nothing if the body has ended.
  await reader.cancel().catch(() => null);
  return outcome;
}

async function readAll(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { bytesMax, stallMsMax, durationMsMax }: TextLimits,
): Promise<BodyText> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  const until = Date.now() + durationMsMax;
  let text = "";
  let bytes = 0;
  for (;;) {
    const left = Math.min(stallMsMax, until - Date.now());
    const chunk = left <= 0 ? "too_slow" : await nextChunk(reader, left);
    if (chunk === "too_slow" || chunk === "broken") return { kind: chunk };
    bytes += chunk?.length ?? 0;
    if (bytes > bytesMax) return { kind: "too_large" };
    const decoded = decode(decoder, chunk);
    if (decoded === null) return { kind: "not_utf8" };
    text += decoded;
    if (chunk === undefined) return { kind: "text", text };
  }
}

/** The next bytes, or undefined at the end. */
async function nextChunk(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  milliseconds: number,
): Promise<Uint8Array | undefined | "too_slow" | "broken"> {
  try {
    return (await withTimeout(milliseconds, reader.read())).value;
  } catch (error) {
    return error instanceof TimeoutError ? "too_slow" : "broken";
  }
}

function decode(decoder: TextDecoder, chunk: Uint8Array | undefined): string | null {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch {
    return null;
  }
}
