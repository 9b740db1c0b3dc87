import { expect, it } from "vitest";
import { BLOCK_ROWS, encodePng } from "../../src/providers/sketch/png.ts";
import { readPng } from "./sketch-png.ts";

const SIZE = { width: 640, height: 960 };

/** An encoder of rows that hardly compress, and the number of rows drawn so far. */
function encodeNoise(size = SIZE, check = () => {}) {
  const drawn = { rows: 0 };
  let state = 1;
  const body = encodePng(
    size,
    (_, row) => {
      drawn.rows++;
      for (let at = 0; at < row.length; at++) {
        state = (Math.imul(state, 1664525) + 1013904223) | 0;
        row[at] = state >>> 24;
      }
    },
    check,
  );
  return { body, drawn };
}

const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
};

it.each([1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 3 * BLOCK_ROWS])(
  "encodes %d rows without change",
  async (height) => {
    const drawn: Uint8Array[] = [];
    const body = encodePng(
      { width: 5, height },
      (y, row) => {
        for (let at = 0; at < row.length; at++) row[at] = (y * 7 + at * at * 31) & 255;
        drawn.push(row.slice());
      },
      () => {},
    );
    expect((await readPng(await new Response(body).bytes())).rows).toEqual(drawn);
  },
);

it("draws nothing for a reader that never reads", async () => {
  const { drawn } = encodeNoise();
  await turns(20);
  expect(drawn.rows).toBe(0);
});

it("draws no more than a few blocks for a reader that stops reading", async () => {
  const { body, drawn } = encodeNoise();
  const reader = body.getReader();
  for (let read = 0; read < 3; read++) await reader.read();
  await turns(20);
  expect(drawn.rows).toBeGreaterThan(0);
  expect(drawn.rows).toBeLessThanOrEqual(4 * BLOCK_ROWS);
});

it("never runs more than a few blocks ahead of a slow reader", async () => {
  const { body, drawn } = encodeNoise();
  let received = 0;
  let aheadMost = 0;
  for await (const part of body) {
    received += part.length;
    await turns(2);
    aheadMost = Math.max(aheadMost, drawn.rows * (SIZE.width * 3 + 1) - received);
  }
  expect(drawn.rows).toBe(SIZE.height);
  expect(aheadMost).toBeLessThan(6 * BLOCK_ROWS * SIZE.width * 3);
});

it("stops drawing when the reader cancels", async () => {
  const { body, drawn } = encodeNoise();
  const reader = body.getReader();
  for (let read = 0; read < 3; read++) await reader.read();
  const before = drawn.rows;
  await reader.cancel();
  await turns(20);
  expect(drawn.rows).toBe(before);
});

it("stops drawing an image that is cancelled while it is drawn", async () => {
  const { body, drawn } = encodeNoise();
  const reader = body.getReader();
  await reader.read();
  await reader.read();
  const pending = reader.read();
  await reader.cancel();
  await pending;
  await turns(20);
  expect(drawn.rows).toBeLessThan(SIZE.height / 2);
});

it("fails with the error of the check, and stops drawing", async () => {
  let refuse = false;
  const { body, drawn } = encodeNoise(SIZE, () => {
    if (refuse) throw new Error("enough");
  });
  const reader = body.getReader();
  for (let read = 0; read < 3; read++) await reader.read();
  refuse = true;
  const before = drawn.rows;
  await expect(
    (async () => {
      for (let part = await reader.read(); !part.done; ) part = await reader.read();
    })(),
  ).rejects.toThrow("enough");
  expect(drawn.rows).toBe(before);
});

it("lets other work run between blocks", async () => {
  const { body } = encodeNoise();
  let others = 0;
  let over = false;
  const other = (async () => {
    for (; !over; others++) await turns(1);
  })();
  await new Response(body).bytes();
  over = true;
  await other;
  expect(others).toBeGreaterThan(SIZE.height / BLOCK_ROWS / 4);
});
