export type Png = { width: number; height: number; rows: Uint8Array[] };

/** Decodes an RGB 8-bit PNG strictly by the standard, with every CRC. Throws on any violation. */
export async function readPng(bytes: Uint8Array): Promise<Png> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  expectEqual("signature", [...bytes.subarray(0, 8)].join(), "137,80,78,71,13,10,26,10");
  const packed: Uint8Array[] = [];
  const types: string[] = [];
  for (let at = 8; at < bytes.length; ) {
    const end = at + 8 + view.getUint32(at);
    const type = new TextDecoder().decode(bytes.subarray(at + 4, at + 8));
    expectEqual(`CRC of ${type}`, crcOf(bytes.subarray(at + 4, end)), view.getUint32(end));
    if (type === "IDAT") packed.push(bytes.slice(at + 8, end));
    types.push(type);
    at = end + 4;
  }
  expectEqual("order of chunks", /^IHDR,(IDAT,)+IEND$/.test(types.join()), true);
  expectEqual("depth, colour, methods", [...bytes.subarray(24, 29)].join(), "8,2,0,0,0");
  const size = { width: view.getUint32(16), height: view.getUint32(20) };
  const inflated = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  return { ...size, rows: unfilter(await new Response(inflated).bytes(), size) };
}

function unfilter(data: Uint8Array, { width, height }: { width: number; height: number }): Uint8Array[] {
  const bytes = width * 3;
  expectEqual("inflated length", data.length, height * (bytes + 1));
  const rows: Uint8Array[] = [];
  for (let y = 0; y < height; y++) {
    const filter = data[y * (bytes + 1)];
    const row = data.slice(y * (bytes + 1) + 1, (y + 1) * (bytes + 1));
    const above = rows[y - 1];
    for (let at = 0; at < bytes; at++) {
      const left = at < 3 ? 0 : (row[at - 3] ?? 0);
      if (filter !== 1 && filter !== 2) throw new Error(`row ${y} has filter ${filter}`);
      row[at] = (row[at] ?? 0) + (filter === 1 ? left : (above?.[at] ?? 0));
    }
    rows.push(row);
  }
  return rows;
}

/** CRC-32 bit by bit, so that the test does not share the encoder's. */
function crcOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function expectEqual<Value>(what: string, actual: Value, expected: Value): void {
  if (actual !== expected) throw new Error(`PNG ${what}: ${String(actual)}, not ${String(expected)}`);
}
