import { expect, it } from "vitest";
import type { Reference } from "../../../src/providers/provider.ts";
import { base64Part, streamParts, textPart } from "../../../src/providers/wire/body.ts";

const PIECE_BYTES = 48 * 1024;
const signal = new AbortController().signal;

it.each([0, 1, 2, 3, 4, 49_151, 49_152, 49_153, 200_001])(
  "streams a reference of %i bytes as base64 between texts",
  async (bytes) => {
    const content = new Uint8Array(bytes).map((_, index) => (index * 31) >> 3);
    const open = async () => new Blob([content]).stream();
    const parts = [
      textPart('{"ışık":"'),
      base64Part({ contentType: "image/png", bytes, open }),
      textPart('"}'),
    ];
    const text = await new Response(streamParts(parts, signal)).text();
    expect(JSON.parse(text)).toEqual({ ışık: Buffer.from(content).toString("base64") });
    const total = parts.reduce((sum, part) => sum + part.bytes, 0);
    expect(new TextEncoder().encode(text)).toHaveLength(total);
  },
);

it("encodes references no further than the body is read, and opens each in its turn", async () => {
  const opened: number[] = [];
  let written = 0;
  const reference = (index: number): Reference => ({
    contentType: "image/png",
    bytes: 100 * PIECE_BYTES,
    async open() {
      opened.push(index);
      const { readable, writable } = new IdentityTransformStream();
      const fill = async () => {
        const writer = writable.getWriter();
        for (let piece = 0; piece < 100; piece++) {
          await writer.write(new Uint8Array(PIECE_BYTES));
          written++;
        }
        await writer.close();
      };
      fill().catch(() => null);
      return readable;
    },
  });
  const reader = streamParts([base64Part(reference(0)), base64Part(reference(1))], signal).getReader({
    mode: "byob",
  });
  for (let read = 0; read < 4 * PIECE_BYTES; ) {
    const { value } = await reader.read(new Uint8Array(PIECE_BYTES));
    read += value?.byteLength ?? 0;
  }
  expect(written).toBeLessThanOrEqual(6);
  expect(opened).toEqual([0]);
  await reader.cancel();
});

it("fails the body when a reference cannot be opened", async () => {
  const open = () => Promise.reject(new Error("storage is away"));
  const body = streamParts([textPart("x"), base64Part({ contentType: "image/png", bytes: 3, open })], signal);
  await expect(new Response(body).text()).rejects.toThrow();
});
