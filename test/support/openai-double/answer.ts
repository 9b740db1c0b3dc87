import type { Ending } from "../loopback.ts";
import { REFUSALS } from "./faults.ts";
import { base64, drawImage, type ImageSpec } from "./images.ts";
import type { Accepted } from "./request.ts";

const GIF = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");

/** The bytes of the answer, in order, as the fault has them; returns how the connection ends. */
export async function* answer(
  accepted: Accepted,
  fault: string | null,
  imageBytes: number,
  firstSeed: number,
): AsyncGenerator<Buffer, Ending> {
  if (fault === "error-in-200") {
    yield Buffer.from(JSON.stringify({ created: 0, data: [], error: REFUSALS["moderation-output"]?.error }));
    return "whole";
  }
  if (fault === "status-in-200") {
    yield Buffer.from(JSON.stringify({ error: { code: 429, message: "Free text" } }));
    return "whole";
  }
  if (fault === "event-stream") {
    yield* events(accepted, imageBytes, firstSeed);
    return "whole";
  }
  if (accepted.stream && fault === null) {
    yield* askedEvents(accepted, accepted.stream, imageBytes, firstSeed);
    return "whole";
  }
  if (fault === "byte-order-mark") yield Buffer.from("\ufeff\r\n");
  const odd = fault === "odd-json";
  const count = countOf(accepted.n, fault);
  const broken = breakOf(fault);
  yield Buffer.from(odd ? oddStart() : plainStart(fault));
  for (let index = 0; index < count; index++) {
    const { format, width, height } = accepted;
    const spec = { format, width, height, bytes: imageBytes, seed: firstSeed + index };
    if (fault === "picture-url" || (fault === "picture-url-gone" && index === 0)) {
      yield Buffer.from(`${index > 0 ? "," : ""}{"b64_json":null,"url":"${addressOf(spec, fault)}"}`);
      continue;
    }
    const pieces = contentOf(fault, spec);
    yield Buffer.from(
      `${index > 0 ? "," : ""}${odd ? '\r\n { "x" : [ {"b64_json":"AAAA"} ] ,' : "{"}"b64_json":`,
    );
    if (fault === "null-image") yield Buffer.from("null");
    else {
      yield Buffer.from(odd ? ' \t"' : '"');
      if (fault === "data-url") yield Buffer.from(`data:image\\/${format};base64,`);
      let sent = 0;
      for (const piece of pieces) {
        yield escaped(piece, odd);
        sent += piece.length;
        if (broken?.image === index && sent * 2 > imageBytes) return broken.ending;
      }
      yield Buffer.from('"');
    }
    yield Buffer.from(odd ? "\n}" : "}");
  }
  if (broken !== null) return broken.ending;
  yield Buffer.from(odd ? " ] \n}\n" : plainEnd(accepted, count, fault));
  return "whole";
}

function countOf(n: number, fault: string | null): number {
  if (fault === "empty-data" || fault === "no-data") return 0;
  if (fault === "too-few") return n - 1;
  return fault === "too-many" ? n + 2 : n;
}

/** In the middle of which image it breaks off, or after the last when there is none such. */
function breakOf(fault: string | null): { image: number; ending: Ending } | null {
  if (fault === "truncated") return { image: 0, ending: "whole" };
  if (fault === "stall-body") return { image: 0, ending: "stall" };
  if (fault === "reset-body") return { image: 0, ending: "reset" };
  const [, whole] = /^reset-after-(\d)$/.exec(fault ?? "") ?? [];
  return whole === undefined ? null : { image: Number(whole), ending: "reset" };
}

function* contentOf(fault: string | null, spec: ImageSpec): Generator<Buffer> {
  if (fault === "empty-image") return;
  if (fault === "gif") yield Buffer.from(GIF.toString("base64"));
  else if (fault === "not-image")
    yield Buffer.from(Buffer.from("Sorry, no picture today.").toString("base64"));
  else {
    const text = base64(fault === "cut-image" ? cutShort(drawImage(spec), spec.bytes / 2) : drawImage(spec));
    if (fault === "base64-lines") yield* inLines(text);
    else if (fault === "base64-unpadded" || fault === "base64-url") {
      for (const piece of text) {
        const bare = piece.toString("latin1").replaceAll("=", "");
        yield Buffer.from(fault === "base64-url" ? bare.replaceAll("+", "-").replaceAll("/", "_") : bare);
      }
    } else yield* text;
    if (fault === "bad-base64") yield Buffer.from("@@@@");
  }
}

/** Where the double shows a picture; relative, as gateways that know only their own host give it. */
function addressOf({ format, width, height, bytes, seed }: ImageSpec, fault: string): string {
  const asked = { format, width, height, bytes, seed, ...(fault === "picture-url-gone" && { gone: 1 }) };
  return `/_pictures?${new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)]))}`;
}

/** Server-sent events that nobody asked for: a sketch first, and the first picture with its type behind it. */
function* events(accepted: Accepted, imageBytes: number, firstSeed: number): Generator<Buffer> {
  yield Buffer.from(': hello\r\n\r\nevent: image_generation.partial_image\ndata: {"b64_json":"QUJD"}\n\n');
  for (let index = 0; index < accepted.n; index++) {
    const { format, width, height } = accepted;
    const spec = { format, width, height, bytes: imageBytes, seed: firstSeed + index };
    const type = "image_generation.completed";
    yield Buffer.from(
      index === 0 ? `data: {"b64_json":"` : `event: ${type}\ndata: {"type":"${type}","b64_json":"`,
    );
    yield* base64(drawImage(spec));
    yield Buffer.from(index === 0 ? `","type":"${type}"}\n\n` : `","usage":{}}\r\n\r\n`);
  }
  yield Buffer.from("data: [DONE]\n\n");
}

/** The events of `stream: true`: partial pictures of a quarter of the bytes, then the image. */
function* askedEvents(
  { format, width, height, quality, background, n }: Accepted,
  { operation, partials }: NonNullable<Accepted["stream"]>,
  imageBytes: number,
  firstSeed: number,
): Generator<Buffer> {
  const details = {
    ...{ created_at: 1_776_729_600, size: `${width}x${height}`, quality, background },
    output_format: format,
  };
  for (let index = 0; index < n; index++) {
    const spec = { format, width, height, seed: firstSeed + index };
    for (let partial = 0; partial < partials; partial++) {
      const small = { ...spec, bytes: imageBytes / 4, seed: firstSeed + index + 50 + 10 * partial };
      const rest = { ...details, partial_image_index: partial };
      yield* oneEvent(`${operation}.partial_image`, small, rest);
    }
    yield* oneEvent(`${operation}.completed`, { ...spec, bytes: imageBytes }, { ...details, usage: {} });
  }
}

function* oneEvent(type: string, spec: ImageSpec, details: object): Generator<Buffer> {
  yield Buffer.from(`event: ${type}\ndata: {"type":"${type}","b64_json":"`);
  yield* base64(drawImage(spec));
  yield Buffer.from(`",${JSON.stringify(details).slice(1)}\n\n`);
}

function* cutShort(pieces: Iterable<Buffer>, bytes: number): Generator<Buffer> {
  let left = bytes;
  for (const piece of pieces) {
    if (left > 0) yield piece.subarray(0, left);
    left -= piece.length;
  }
}

/** Lines of 76 characters, as MIME has them, their ends escaped as JSON wants it. */
function* inLines(pieces: Iterable<Buffer>): Generator<Buffer> {
  let column = 0;
  for (const piece of pieces) {
    const text = piece
      .toString("latin1")
      .replaceAll(/./g, (letter) => (column++ % 76 === 75 ? `${letter}\\r\\n` : letter));
    yield Buffer.from(text, "latin1");
  }
}

function escaped(base64: Buffer, odd: boolean): Buffer {
  if (!odd) return base64;
  const text = base64.toString("latin1").replaceAll("/", "\\/").replaceAll("+", "\\u002B");
  return Buffer.from(text.replaceAll("z", "\\u007a"), "latin1");
}

function plainStart(fault: string | null): string {
  return fault === "no-data"
    ? '{"created":1776729600'
    : '{"created":1776729600,"background":"opaque","data":[';
}

function oddStart(): string {
  return ' \n{"usage":{"total_tokens":1.5e2,"deep":[[[{"b64_json":"AAAA"}]]]} ,\t"b64_json":"AAAA","error":null,"d\\u0061ta" :\r\n[';
}

function plainEnd(accepted: Accepted, count: number, fault: string | null): string {
  const details = {
    output_format: accepted.format,
    quality: accepted.quality,
    size: `${accepted.width}x${accepted.height}`,
    ...(accepted.safetyIdentifier !== null && { safety_identifier: accepted.safetyIdentifier }),
    usage: {
      input_tokens: 12,
      output_tokens: 1000 * count,
      total_tokens: 12 + 1000 * count,
      input_tokens_details: { text_tokens: 12, image_tokens: 0 },
      output_tokens_details: { text_tokens: 0, image_tokens: 1000 * count },
    },
  };
  const members = JSON.stringify(details).slice(1);
  if (fault === "no-data") return `,${members}`;
  if (fault === "malformed") return `],,${members}`;
  return `],${members}${fault === "trailing-garbage" ? "<!-- -->" : ""}`;
}
