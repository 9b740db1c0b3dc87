import { crc32 } from "node:zlib";

/** Rows compressed at a time: the only pixels in memory. */
export const BLOCK_ROWS = 16;
/** By default, the compressor returns pieces of 4 KiB, one per turn of the event loop. */
const CHUNK_BYTES_MAX = 64 * 1024;

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const FILTER_SUB = 1;
const FILTER_UP = 2;

/** Writes row `y` as RGB, 3 bytes per pixel, into `row`. Called once for each row, from the top. */
export type RowPainter = (y: number, row: Uint8Array) => void;

/**
 * Encodes a PNG of 8-bit RGB (ISO/IEC 15948) while it is read: rows are painted when the reader requests bytes. The
 * event loop gets a turn after each block. `check` runs before each block; an error that it throws is the stream's
 * error.
 */
export function encodePng(
  size: { width: number; height: number },
  paint: RowPainter,
  check: () => void,
): ReadableStream<Uint8Array> {
  const compression = new CompressionStream("deflate");
  const writer = compression.writable.getWriter();
  const reader = compression.readable.getReader({ mode: "byob" });
  const filter = createFilter(size.width, paint);
  let row = -1;
  /** Some runtimes end a write only when its output has been read. A write that fails makes the read fail too. */
  let writing: Promise<void> | null = null;
  const endWriting = () => {
    writing = null;
  };

  async function drawUntil(arrived: () => boolean, next: Promise<unknown>): Promise<void> {
    while (!arrived()) {
      await Promise.race([next, nextTurn()]);
      if (arrived() || (!writing && row === size.height)) return;
      writing ??= writeBlock();
      await Promise.race([next, writing]);
    }
  }

  function writeBlock(): Promise<void> {
    check();
    const end = Math.min(row + BLOCK_ROWS, size.height);
    const written = writer.write(filter(row, end));
    row = end;
    return (row < size.height ? written : written.then(() => writer.close())).then(endWriting, endWriting);
  }

  async function pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    if (row < 0) {
      row = 0;
      controller.enqueue(SIGNATURE);
      return controller.enqueue(chunk("IHDR", header(size)));
    }
    // The compressor accepts any number of blocks without a reader: read first, and write only until it returns bytes.
    let arrived = false;
    const next = reader.read(new Uint8Array(CHUNK_BYTES_MAX)).finally(() => {
      arrived = true;
    });
    const [{ done, value }] = await Promise.all([next, drawUntil(() => arrived, next)]);
    if (!done) return controller.enqueue(chunk("IDAT", value));
    controller.enqueue(chunk("IEND", new Uint8Array()));
    controller.close();
  }

  async function stop(reason: unknown): Promise<void> {
    row = size.height;
    await Promise.allSettled([writer.abort(reason), reader.cancel(reason)]);
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          await pull(controller);
        } catch (error) {
          controller.error(error);
          await stop(error);
        }
      },
      cancel: stop,
    },
    { highWaterMark: 0 },
  );
}

/** Paints rows and filters each with the neighbour, left or above, that gives the smaller differences. */
function createFilter(width: number, paint: RowPainter): (start: number, end: number) => Uint8Array {
  const bytes = width * 3;
  let above = new Uint8Array(bytes);
  let current = new Uint8Array(bytes);
  return (start, end) => {
    const block = new Uint8Array((end - start) * (bytes + 1));
    for (let y = start; y < end; y++) {
      paint(y, current);
      filterRow(current, above, block.subarray((y - start) * (bytes + 1), (y - start + 1) * (bytes + 1)));
      [above, current] = [current, above];
    }
    return block;
  };
}

function filterRow(current: Uint8Array, above: Uint8Array, out: Uint8Array): void {
  let costSub = 0;
  let costUp = 0;
  for (let index = 3; index < current.length; index++) {
    const value = current[index] ?? 0;
    costSub += Math.abs(value - (current[index - 3] ?? 0));
    costUp += Math.abs(value - (above[index] ?? 0));
  }
  const filter = costSub < costUp ? FILTER_SUB : FILTER_UP;
  out[0] = filter;
  for (let index = 0; index < current.length; index++) {
    const neighbour = filter === FILTER_UP ? above[index] : index < 3 ? 0 : current[index - 3];
    out[index + 1] = (current[index] ?? 0) - (neighbour ?? 0);
  }
}

function header(size: { width: number; height: number }): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, size.width);
  view.setUint32(4, size.height);
  data.set([8, 2], 8);
  return data;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
