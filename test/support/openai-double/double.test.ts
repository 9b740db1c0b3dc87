import { crc32, inflateSync } from "node:zlib";
import { expect, inject, it } from "vitest";
import { REFUSALS } from "./faults.ts";
import { drawImage, type ImageSpec } from "./images.ts";
import { ErrorResponse, ImagesResponse } from "./published.ts";

const url = inject("openaiDouble");
const plain = { model: "gpt-image-2", prompt: "a lighthouse" };

it.each([
  [{}, 1, "png", "1024x1024"],
  [{ n: 10, size: "auto", quality: "high", safety_identifier: "x".repeat(128) }, 10, "png", "1024x1024"],
  [{ n: 2, size: "3840x2160", output_format: "jpeg", output_compression: 0 }, 2, "jpeg", "3840x2160"],
  [{ size: "816x816", output_format: "webp", background: "opaque", moderation: "low" }, 1, "webp", "816x816"],
] as const)("answers %j in the published shape", async (fields, count, format, size) => {
  const response = await generate({ ...plain, ...fields });
  expect(response.status).toBe(200);
  expect(response.headers.get("x-request-id")).toMatch(/^req_/);
  const answer = ImagesResponse.parse(await response.json());
  expect(answer).toMatchObject({ output_format: format, size });
  expect(new Set(answer.data?.map(({ b64_json }) => b64_json)).size).toBe(count);
});

it.each(Object.entries(REFUSALS))("refuses in the published shape: %s", async (fault, { status, error }) => {
  const response = await generate({ ...plain, prompt: `[fault:${fault}]` });
  expect(response.status).toBe(status);
  expect(ErrorResponse.parse(await response.json())).toEqual({ error });
});

it.each([
  [{ response_format: "b64_json" }, "unknown_parameter", "response_format"],
  [{ input_fidelity: "high" }, "unknown_parameter", "input_fidelity"],
  [{ prompt: undefined }, "missing_required_parameter", "prompt"],
  [{ prompt: "x".repeat(32_001) }, "invalid_value", "prompt"],
  [{ n: 0 }, "integer_out_of_range", "n"],
  [{ n: 11 }, "integer_out_of_range", "n"],
  [{ n: "1" }, "integer_out_of_range", "n"],
  [{ size: "512x512" }, "invalid_value", "size"],
  [{ size: "1920x1080" }, "invalid_value", "size"],
  [{ size: "3856x1600" }, "invalid_value", "size"],
  [{ size: "3840x1264" }, "invalid_value", "size"],
  [{ quality: "hd" }, "invalid_value", "quality"],
  [{ background: "transparent" }, "invalid_value", "background"],
  [{ output_format: "gif" }, "invalid_value", "output_format"],
  [{ output_compression: 50 }, "invalid_value", "output_compression"],
  [{ output_format: "jpeg", output_compression: 101 }, "invalid_value", "output_compression"],
  [{ stream: true, partial_images: 4 }, "integer_out_of_range", "partial_images"],
  [{ safety_identifier: "x".repeat(129) }, "string_above_max_length", "safety_identifier"],
  [{ model: "dall-e-3" }, "model_not_found", null],
])("refuses %j as upstream does", async (fields, code, param) => {
  const response = await generate({ ...plain, ...fields });
  expect(response.status).toBe(code === "model_not_found" ? 404 : 400);
  expect(ErrorResponse.parse(await response.json()).error).toMatchObject({ code, param });
});

it.each(["png", "jpeg", "webp"] as const)("draws valid %s of the size that is asked", (format) => {
  for (const bytes of [5000, 5012, 66_000, 70_004, (1 << 20) + 900, 3_000_000]) {
    const image = draw({ format, width: 1040, height: 816, bytes, seed: 7 });
    expect(image.length).toBe(bytes);
    check[format](image);
  }
});

const check = {
  png(image: Buffer) {
    let at = 8;
    let pixels = 0;
    for (let type = ""; type !== "IEND"; ) {
      const length = image.readUInt32BE(at);
      type = image.toString("latin1", at + 4, at + 8);
      expect(image.readUInt32BE(at + 8 + length)).toBe(crc32(image.subarray(at + 4, at + 8 + length)));
      if (type === "IDAT") pixels = inflateSync(image.subarray(at + 8, at + 8 + length)).length;
      at += 12 + length;
    }
    expect([at, pixels]).toEqual([image.length, (1040 / 8 + 1) * 816]);
  },
  jpeg(image: Buffer) {
    let at = 2;
    for (let marker = 0; marker !== 0xda; ) {
      expect(image[at]).toBe(0xff);
      marker = image[at + 1] ?? 0;
      if (marker === 0xc0)
        expect([image.readUInt16BE(at + 5), image.readUInt16BE(at + 7)]).toEqual([816, 1040]);
      at += 2 + image.readUInt16BE(at + 2);
    }
    expect(image.length - at).toBe((1040 / 8) * (816 / 8) * (2 / 8) + 2);
    expect(image.readUInt16BE(image.length - 2)).toBe(0xffd9);
  },
  webp(image: Buffer) {
    expect(image.readUInt32LE(4)).toBe(image.length - 8);
    const types = [];
    for (
      let at = 12;
      at < image.length;
      at += 8 + image.readUInt32LE(at + 4) + (image.readUInt32LE(at + 4) % 2)
    ) {
      types.push(image.toString("latin1", at, at + 4));
    }
    expect(types).toEqual(["VP8X", "VP8L", "PADD"]);
    expect([image.readUIntLE(24, 3), image.readUIntLE(27, 3)]).toEqual([1039, 815]);
  },
};

function draw(spec: ImageSpec): Buffer {
  return Buffer.concat([...drawImage(spec)]);
}

function generate(body: object): Promise<Response> {
  return fetch(`${url}/images/generations`, {
    method: "POST",
    headers: { authorization: "Bearer sk-test", "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}
