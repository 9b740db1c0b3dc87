import type { Readable } from "node:stream";
import { MIMEType } from "node:util";
import busboy from "busboy";
import { isEncoded } from "../text.ts";
import { ENCODED_MESSAGE, ENCODED_PARAM } from "./body.ts";

export type MultipartLimits = {
  filesMax: number;
  fileBytesMax: number;
  /** Of all text fields together. */
  textBytesMax: number;
  partsMax: number;
  /** The longest pause between two bytes of the body. */
  stallMsMax: number;
  /** The longest time for the whole body, including storage. */
  durationMsMax: number;
};

/** One uploaded file, and its position from 1. Its bytes are read once, to the end unless the file is refused. */
export type UploadedFile = { position: number; content: AsyncIterable<Uint8Array> };

/** The end of a sentence that begins with `reference_image 2 `. */
export type FileRefusal = string;

export type FileHandler = (file: UploadedFile) => Promise<FileRefusal | null>;

export type MultipartRefusal = {
  kind: "refused";
  status: 400 | 413 | 415;
  code: "invalid_request" | "payloadTooLarge" | "unsupportedMediaType";
  /** The invalid field, if there is one. */
  param: string | null;
  message: string;
};

export type MultipartOutcome = { kind: "form"; fields: Map<string, string> } | MultipartRefusal;

/** The form field that carries files in the native API. */
const FILE_FIELD = "reference_image";

/**
 * Which field carries files: `name`, `name[]`, `name[0]` and so on are the same field; with `isAnyField` any does.
 * `refused`: messages for files in other fields, by name, where a special one helps more.
 */
export type FileFields = { name: string; isAnyField?: true; refused: ReadonlyMap<string, string> };

const REFERENCE_FILES: FileFields = { name: FILE_FIELD, refused: new Map() };

/** 50 MB as the API means it, 1 MiB of text, and time for the largest form on a slow line. */
export const MULTIPART_LIMITS = {
  fileBytesMax: 50 * 1024 * 1024,
  textBytesMax: 1024 * 1024,
  partsMax: 64,
  stallMsMax: 60_000,
  durationMsMax: 15 * 60_000,
} as const;

/**
 * Reads `multipart/form-data` (RFC 7578) as it arrives: text fields are collected, files are handed to `onFile` one
 * after the other, each chunk awaited, so that no file is held in memory. `onFile` returns null when it accepts the
 * file, or the reason for a refusal. A refusal stops the reading and cancels the body; when this returns, every call
 * of `onFile` has ended (its `content` throws when the reading stops inside a file).
 * @throws whatever `onFile` throws; nothing else.
 */
export async function readMultipart(
  request: Request,
  limits: MultipartLimits,
  onFile: FileHandler,
  files: FileFields = REFERENCE_FILES,
): Promise<MultipartOutcome> {
  try {
    const boundary = readBoundary(request.headers.get("content-type"));
    if (isEncoded(request)) {
      throw new UploadRejected({
        status: 415,
        code: "unsupportedMediaType",
        param: ENCODED_PARAM,
        message: ENCODED_MESSAGE,
      });
    }
    refuseDeclaredLength(request, limits);
    if (request.body === null) throw invalid("The body is empty.");
    const form = new MultipartReader(boundary, limits, onFile, files);
    await form.read(request.body);
    return { kind: "form", fields: form.fields };
  } catch (error) {
    if (error instanceof UploadRejected) return error.refusal;
    throw error;
  }
}

/** Travels inside this file only. */
class UploadRejected extends Error {
  readonly refusal: MultipartRefusal;

  constructor(refusal: Omit<MultipartRefusal, "kind">) {
    super(refusal.message);
    this.refusal = { kind: "refused", ...refusal };
  }
}

function invalid(message: string, param: string | null = null): UploadRejected {
  return new UploadRejected({ status: 400, code: "invalid_request", param, message });
}

function tooLarge(message: string): UploadRejected {
  return new UploadRejected({ status: 413, code: "payloadTooLarge", param: null, message });
}

function malformed(): UploadRejected {
  return invalid("The form is malformed or ends early.");
}

/** 1 to 70 of the characters of RFC 2046, 5.1.1, the space aside, which no client sends. */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=?*#!$%&^`|~{}]{1,70}$/;

function readBoundary(contentType: string | null): string {
  const type = parseContentType(contentType);
  if (type?.essence !== "multipart/form-data") {
    const message = "The body must be multipart/form-data.";
    throw new UploadRejected({ status: 415, code: "unsupportedMediaType", param: null, message });
  }
  const charset = type.params.get("charset");
  if (charset !== null && !/^utf-?8$/i.test(charset)) throw invalid("The form must be in UTF-8.");
  const boundary = type.params.get("boundary") ?? "";
  if (!BOUNDARY.test(boundary)) throw invalid("The Content-Type header has no valid multipart boundary.");
  return boundary;
}

function parseContentType(contentType: string | null): MIMEType | null {
  try {
    return new MIMEType(contentType ?? "");
  } catch {
    return null;
  }
}

/** Every part's header (busboy takes 16 KiB), its boundary, and bytes on their way to a file. */
const OVERHEAD_BYTES_MAX = 2 * 1024 * 1024;

function bodyBytesMax({ filesMax, fileBytesMax, textBytesMax }: MultipartLimits): number {
  return filesMax * fileBytesMax + textBytesMax + OVERHEAD_BYTES_MAX;
}

function refuseDeclaredLength(request: Request, limits: MultipartLimits): void {
  const declared = Number(request.headers.get("content-length") ?? 0);
  if (declared > bodyBytesMax(limits)) throw tooLarge("The form is too large.");
}

/** How much is given to the parser at a time, so that one huge chunk does not become many queued copies. */
const PIECE_BYTES = 64 * 1024;
const FIELD_NAME_LENGTH_MAX = 100;

class MultipartReader {
  readonly fields = new Map<string, string>();
  readonly #limits: MultipartLimits;
  readonly #onFile: FileHandler;
  readonly #fileFields: FileFields;
  readonly #parser: busboy.Busboy;
  readonly #delimiters: DelimiterCount;
  /** Aborted by the first event that makes further reading pointless, with its reason. */
  readonly #stop = new AbortController();
  /** The files so far, one after the other. Never rejects: a failure goes to `#stop`. */
  #files: Promise<void> = Promise.resolve();
  #fileCount = 0;
  /** The file that was passed on last. */
  #position = 0;
  #fileBytes = 0;
  #bodyBytes = 0;
  #textBytes = 0;
  #partCount = 0;

  constructor(boundary: string, limits: MultipartLimits, onFile: FileHandler, files: FileFields) {
    this.#limits = limits;
    this.#onFile = onFile;
    this.#fileFields = files;
    this.#delimiters = new DelimiterCount(boundary);
    this.#parser = busboy({
      headers: { "content-type": `multipart/form-data; boundary="${boundary}"` },
      defParamCharset: "utf8",
      // One more than may be, because busboy calls a value of exactly the limit truncated.
      limits: { fieldSize: limits.textBytesMax + 1 },
    });
    this.#parser.on("field", (name, value) => this.#guard(() => this.#takeField(name, value)));
    this.#parser.on("file", (name, stream, { filename }: { filename: string | undefined }) => {
      // The reader of the file gets the error from its read; an error event without a listener would be uncaught.
      stream.on("error", () => undefined);
      this.#guard(() => this.#takeFile(name, stream, filename));
    });
    this.#parser.on("error", () => this.#fail(malformed()));
  }

  async read(body: ReadableStream<Uint8Array>): Promise<void> {
    const timer = setTimeout(
      () => this.#fail(invalid("The form took too long.")),
      this.#limits.durationMsMax,
    );
    const reader = body.getReader();
    try {
      for (;;) {
        const chunk = await this.#readChunk(reader);
        if (chunk === null) break;
        for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
          await this.#parse(chunk.subarray(at, at + PIECE_BYTES));
        }
      }
      await this.#end();
    } finally {
      clearTimeout(timer);
      this.#parser.destroy();
      await this.#files;
      // This stops the sender; it does nothing if the body has ended or broken.
      await reader.cancel().catch(() => null);
    }
  }

  /** The next bytes, or null at the end. */
  async #readChunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | null> {
    const timer = setTimeout(
      () => this.#fail(invalid("The form stalled: no byte came for too long.")),
      this.#limits.stallMsMax,
    );
    const next = reader.read().catch(() => this.#fail(invalid("The form could not be read to its end.")));
    try {
      const result = await this.#unlessStopped(next);
      return result?.value ?? null;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns once the parser, and a file that it feeds, have room for more: this is the back-pressure. */
  async #parse(piece: Uint8Array): Promise<void> {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    this.#bodyBytes += piece.length;
    this.#delimiters.feed(buffer);
    await this.#unlessStopped(new Promise<void>((resolve) => this.#parser.write(buffer, () => resolve())));
    this.#refuseExcess();
  }

  async #end(): Promise<void> {
    await this.#unlessStopped(new Promise<void>((resolve) => this.#parser.end(() => resolve())));
    await this.#unlessStopped(this.#files);
    // Busboy skips a part whose Content-Disposition it cannot read. The request would be charged without that field.
    if (this.#delimiters.count !== this.#partCount + 1) {
      throw invalid("The form has a part without a readable Content-Disposition header.");
    }
  }

  #refuseExcess(): void {
    const { partsMax, textBytesMax } = this.#limits;
    if (this.#delimiters.count > partsMax + 1) throw invalid(`The form has more than ${partsMax} parts.`);
    const apartFromFiles = this.#bodyBytes - this.#fileBytes;
    if (apartFromFiles > textBytesMax + OVERHEAD_BYTES_MAX || this.#bodyBytes > bodyBytesMax(this.#limits)) {
      throw tooLarge("The form is too large.");
    }
  }

  /** Busboy's types say string, but a part without a name has none, and text in an unknown charset no value. */
  #takeField(name: string | undefined, value: string | undefined): void {
    const field = this.#takePart(name);
    if (this.#isFileField(field)) {
      // A file that was left empty, from a client that gives it no type.
      if (value === "") return;
      throw invalid(`${this.#fileFields.name} must be a file.`, this.#fileFields.name);
    }
    if (this.fields.has(field)) throw invalid(`${field} is given twice.`, field);
    // Busboy writes U+FFFD for bytes that are not text, so the character itself cannot be distinguished from invalid
    // bytes.
    if (value === undefined || value.includes("\uFFFD"))
      throw invalid(`${field} is not valid UTF-8 text.`, field);
    this.#textBytes += Buffer.byteLength(value);
    if (this.#textBytes > this.#limits.textBytesMax) {
      throw tooLarge(`The text fields are larger than ${this.#limits.textBytesMax} bytes together.`);
    }
    this.fields.set(field, value);
  }

  /** Busboy's types say string, but a part with an empty file name, or none, has none. */
  #takeFile(name: string | undefined, stream: Readable, filename: string | undefined): void {
    const field = this.#takePart(name);
    const isNamed = filename !== undefined;
    if (isNamed) this.#countFile(field);
    this.#files = this.#files.then(() => this.#storeFile(field, stream, isNamed));
  }

  #countFile(field: string): void {
    const { name, isAnyField, refused } = this.#fileFields;
    if (!isAnyField && !this.#isFileField(field)) {
      const usual = `${field} is not a field for files here: send each file as ${name} or ${name}[].`;
      throw invalid(refused.get(withoutIndex(field)) ?? usual, field);
    }
    const { filesMax } = this.#limits;
    if (this.#fileCount === filesMax) throw invalid(`${name} may be given at most ${filesMax} times.`, name);
    this.#fileCount += 1;
  }

  async #storeFile(field: string, stream: Readable, isNamed: boolean): Promise<void> {
    if (this.#stop.signal.aborted) return;
    try {
      const content = this.#content(stream);
      const first = await content.next();
      if (!isNamed) {
        // A browser sends a file input that was left empty as a part without file name and bytes (HTML, "constructing
        // the entry list").
        if (first.done) return;
        this.#countFile(field);
      }
      this.#position += 1;
      const position = this.#position;
      const refusal = await this.#onFile({ position, content: resumed(first, content) });
      const { name } = this.#fileFields;
      if (refusal !== null) throw invalid(`${name} ${position} ${refusal}`, name);
      if (!stream.readableEnded) throw new Error("A file was taken without being read to its end.");
    } catch (error) {
      this.#fail(error);
    }
  }

  async *#content(stream: Readable): AsyncGenerator<Uint8Array, void> {
    try {
      for await (const chunk of stream) {
        const bytes: Uint8Array = chunk;
        this.#fileBytes += bytes.length;
        yield bytes;
      }
    } catch {
      // The parser ends a file with an error only when the form itself ends or is given up inside it.
      throw malformed();
    }
  }

  #isFileField(name: string): boolean {
    return withoutIndex(name) === this.#fileFields.name;
  }

  #takePart(name: string | undefined): string {
    this.#partCount += 1;
    if (name === undefined || name === "") throw invalid("The form has a part without a name.");
    if (name.length > FIELD_NAME_LENGTH_MAX) {
      throw invalid(`The form has a field whose name is longer than ${FIELD_NAME_LENGTH_MAX} characters.`);
    }
    return name;
  }

  /** Runs an event handler of the parser, which emits further events after the reading has stopped. */
  #guard(handle: () => void): void {
    if (this.#stop.signal.aborted) return;
    try {
      handle();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(reason: unknown): undefined {
    this.#stop.abort(reason);
  }

  /**
   * With a new promise each time: one that lasts as long as the reading would retain every promise it was raced with.
   */
  async #unlessStopped<T>(promise: Promise<T>): Promise<T | undefined> {
    const { signal } = this.#stop;
    const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
    const stop = () => resolve(undefined);
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    try {
      const result = await Promise.race([promise, stopped]);
      signal.throwIfAborted();
      return result ?? undefined;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }
}

/** `image` of `image`, `image[]` and `image[0]`. */
function withoutIndex(field: string): string {
  return field.replace(/\[\d{0,3}\]$/, "");
}

/** A stream of which the first chunk was read already, from that chunk on. */
async function* resumed(
  first: IteratorResult<Uint8Array, void>,
  rest: AsyncGenerator<Uint8Array, void>,
): AsyncGenerator<Uint8Array, void> {
  if (first.done) return;
  yield first.value;
  yield* rest;
}

/** Counts the delimiters in a body that arrives in chunks: one before each part, and one at the end of the form. */
class DelimiterCount {
  count = 0;
  readonly #delimiter: Buffer;
  /** The end of the previous chunk, shorter than a delimiter. The first delimiter needs no line break before it. */
  #tail: Buffer = Buffer.from("\r\n");

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
  }

  feed(piece: Buffer): void {
    const keep = this.#delimiter.length - 1;
    const seam = Buffer.concat([this.#tail, piece.subarray(0, keep)]);
    this.count += this.#occurrences(seam) + this.#occurrences(piece);
    this.#tail = piece.length < keep ? seam.subarray(-keep) : Buffer.from(piece.subarray(-keep));
  }

  #occurrences(bytes: Buffer): number {
    let found = 0;
    let at = bytes.indexOf(this.#delimiter);
    while (at !== -1) {
      found += 1;
      at = bytes.indexOf(this.#delimiter, at + this.#delimiter.length);
    }
    return found;
  }
}
