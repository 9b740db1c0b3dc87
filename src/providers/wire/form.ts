import type { Reference } from "../provider.ts";
import { type BodyPart, textPart } from "./body.ts";

const EXTENSIONS = { "image/png": "png", "image/jpeg": "jpg", "image/webp": "webp" } as const;

/**
 * A `multipart/form-data` body (RFC 7578): the fields, then the references as files.
 * @param nameOf returns the field name of the reference at an index, from 0
 */
export function formParts(
  fields: Readonly<Record<string, string | number | boolean>>,
  references: readonly Reference[],
  nameOf: (index: number) => string,
): { parts: BodyPart[]; contentType: string } {
  const boundary = `form-${crypto.randomUUID()}`;
  const disposition = `--${boundary}\r\nContent-Disposition: form-data`;
  const texts = Object.entries(fields).map(
    ([name, value]) => `${disposition}; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const files = references.flatMap((reference, index) => {
    const filename = `reference-${index + 1}.${EXTENSIONS[reference.contentType]}`;
    const head = `${disposition}; name="${nameOf(index)}"; filename="${filename}"\r\nContent-Type: ${reference.contentType}\r\n\r\n`;
    return [textPart(head), reference, textPart("\r\n")];
  });
  return {
    parts: [textPart(texts.join("")), ...files, textPart(`--${boundary}--\r\n`)],
    contentType: `multipart/form-data; boundary=${boundary}`,
  };
}
