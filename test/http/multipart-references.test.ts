import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { MULTIPART_LIMITS } from "../../src/http/multipart.ts";
import { receiveReferences } from "../../src/http/references.ts";
import { removeReferences } from "../../src/images/references.ts";
import { StorageError } from "../../src/images/upload.ts";
import {
  filled,
  frame,
  jpeg,
  jpegOf,
  mutate,
  png,
  SCAN,
  seeded,
  watched,
  webpLossy,
} from "../images/samples.ts";
import { spyOnLog } from "../support/log.ts";
import {
  bytesOf,
  cut,
  END,
  expectNoEscapedErrors,
  file,
  formRequest,
  type Piece,
  streamed,
  text,
} from "./forms.ts";

const FILE_BYTES_MAX = 50 * 1024 * 1024;
let generations = 0;
expectNoEscapedErrors();

/** Sends a form under a new id, and returns what R2 then has for it. */
async function receive(
  pieces: Iterable<Piece>,
  { failOn, stallMsMax = 60_000 }: { failOn?: string; stallMsMax?: number } = {},
) {
  generations += 1;
  const generationId = `gen_${generations}`;
  const { bucket, calls, unfinished } = watched(env.REFERENCES, failOn);
  const { stream, state } = streamed(pieces);
  const limits = { ...MULTIPART_LIMITS, stallMsMax };
  const outcome = await receiveReferences(formRequest(stream), bucket, generationId, 16, limits).catch(
    (error: unknown) => ({ kind: "failed" as const, error }),
  );
  const { objects } = await env.REFERENCES.list({ prefix: `${generationId}/` });
  return {
    generationId,
    outcome,
    stored: objects.map((object) => object.key),
    unfinished: unfinished.size,
    calls,
    state,
  };
}

const refused = (message: string) => ({
  kind: "refused",
  status: 400,
  code: "invalid_request",
  param: "reference_image",
  message,
});

describe("receiveReferences", () => {
  it("stores one image with the type of its bytes, whatever its name", async () => {
    const image = jpeg(frame(640, 480));
    const { generationId, outcome } = await receive([...text("prompt", "x"), ...file(image), ...END]);
    const key = `${generationId}/1`;
    expect(outcome).toEqual({
      kind: "form",
      fields: new Map([["prompt", "x"]]),
      references: [
        {
          key,
          contentType: "image/jpeg",
          width: 640,
          height: 480,
          bytes: image.length,
          sha256: createHash("sha256").update(image).digest("hex"),
        },
      ],
    });
    const object = await env.REFERENCES.get(key);
    expect(object?.httpMetadata?.contentType).toBe("image/jpeg");
    expect(await object?.bytes()).toEqual(image);
  });

  it.each([2, 16])("stores %i images in their order", async (count) => {
    const images = Array.from({ length: count }, (_, i) =>
      file(i % 2 === 0 ? png(i + 1, 1) : webpLossy(i + 1, 1)),
    );
    const { generationId, outcome, stored } = await receive([...images.flat(), ...END]);
    const places = Array.from({ length: count }, (_, i) => ({
      key: `${generationId}/${i + 1}`,
      width: i + 1,
    }));
    expect(outcome).toMatchObject({ kind: "form", references: places });
    expect(stored.sort()).toEqual(places.map(({ key }) => key).sort());
  });

  it("accepts a form without references", async () => {
    const { outcome, calls } = await receive([...text("prompt", "x"), ...END]);
    expect([outcome, calls]).toEqual([
      { kind: "form", fields: new Map([["prompt", "x"]]), references: [] },
      [],
    ]);
  });

  it("accepts a file of exactly 50 MiB", async () => {
    const { outcome, calls } = await receive([...file(filled(png(1, 1), FILE_BYTES_MAX)), ...END]);
    expect(outcome).toMatchObject({ kind: "form", references: [{ bytes: FILE_BYTES_MAX }] });
    expect(calls.length).toBe(12);
  });

  const good = file(png(1, 1));
  const large = file(filled(png(1, 1), 12 * 1024 * 1024));
  async function* stall() {
    yield* filled(png(1, 1), 6 * 1024 * 1024);
    await new Promise(() => undefined);
  }
  it.each<[string, Piece[], object]>([
    [
      "a file of 50 MiB and a byte",
      [...good, ...file(filled(png(1, 1), FILE_BYTES_MAX + 1))],
      refused("reference_image 2 is larger than 50 MB."),
    ],
    [
      "a file without an end",
      file(filled(png(1, 1), Number.POSITIVE_INFINITY)),
      refused("reference_image 1 is larger than 50 MB."),
    ],
    [
      "a file that is no image",
      [...good, ...good, ...file("hello")],
      refused("reference_image 3 is not a PNG, JPEG or WebP image."),
    ],
    ["an empty file", [...good, ...file("")], refused("reference_image 2 is not a PNG, JPEG or WebP image.")],
    [
      "half a header",
      file(png(1, 1).subarray(0, 20)),
      refused("reference_image 1 is cut off or damaged: it is not a whole PNG, JPEG or WebP image."),
    ],
    [
      "an image without its end",
      [...good, ...file(jpegOf(frame(9, 9), SCAN.slice(0, -2)))],
      refused("reference_image 2 is cut off or damaged: it is not a whole PNG, JPEG or WebP image."),
    ],
    [
      "17 files",
      Array.from({ length: 17 }, () => good).flat(),
      refused("reference_image may be given at most 16 times."),
    ],
    [
      "a large file, then a refusal",
      [...large, ...file("hello")],
      refused("reference_image 2 is not a PNG, JPEG or WebP image."),
    ],
    [
      "a field twice behind files",
      [...good, ...text("n", "1"), ...text("n", "1")],
      { kind: "refused", param: "n" },
    ],
    [
      "a body cut off in a large file",
      file(filled(png(1, 1), 6 * 1024 * 1024)).slice(0, 2),
      { kind: "refused", status: 400 },
    ],
    [
      "a body that stalls in a large file",
      [...good, ...file(stall())],
      { kind: "refused", message: expect.stringMatching(/stalled/) },
    ],
  ])("keeps nothing of a form with %s", async (name, pieces, outcome) => {
    const cutOff = name.includes("cut off");
    const received = await receive(cutOff ? pieces : [...pieces, ...END], { stallMsMax: 300 });
    expect(received.outcome).toMatchObject(outcome);
    expect([received.stored, received.unfinished]).toEqual([[], 0]);
    expect(received.state.bytes).toBeLessThan(FILE_BYTES_MAX + 200_000);
  });

  it.each(["put", "createMultipartUpload", "uploadPart", "complete"])(
    "keeps nothing when every %s fails",
    async (failOn) => {
      const bytes = failOn === "put" ? 1000 : 12 * 1024 * 1024;
      const { outcome, stored, unfinished } = await receive([...file(filled(png(1, 1), bytes)), ...END], {
        failOn,
      });
      expect(outcome).toEqual({ kind: "failed", error: new StorageError(`R2 ${failOn} failed`) });
      expect([stored, unfinished]).toEqual([[], 0]);
    },
  );

  it("returns the refusal, and logs, when the removal fails", async () => {
    const log = spyOnLog();
    const { outcome } = await receive([...good, ...file("hello"), ...END], { failOn: "delete" });
    expect(outcome).toEqual(refused("reference_image 2 is not a PNG, JPEG or WebP image."));
    expect(log).toHaveBeenCalledOnce();
    log.mockRestore();
  });

  it("keeps all or nothing of 500 damaged forms", async () => {
    const valid = await bytesOf(
      [text("prompt", "a cat"), file(png(3, 3)), file(webpLossy(4, 4)), END].flat(),
    );
    for (let seed = 0; seed < 500; seed += 1) {
      const random = seeded(seed);
      const { outcome, stored } = await receive(cut(mutate(valid, random), 1 + random(valid.length)));
      const expected = outcome.kind === "form" ? outcome.references.length : 0;
      expect([outcome.kind, stored.length], `seed ${seed}`).toEqual([
        expect.stringMatching(/^(form|refused)$/),
        expected,
      ]);
    }
  });
});

describe("removeReferences", () => {
  it("removes a generation's references in one call, and no other's", async () => {
    const { outcome, generationId } = await receive([...file(png(1, 1)), ...file(png(1, 1)), ...END]);
    const references = outcome.kind === "form" ? outcome.references : [];
    const other = await receive([...file(png(1, 1)), ...END]);
    const { bucket, calls } = watched(env.REFERENCES);
    await removeReferences(bucket, references);
    expect(calls).toEqual(["delete"]);
    expect((await env.REFERENCES.list({ prefix: `${generationId}/` })).objects).toEqual([]);
    expect(await env.REFERENCES.head(`${other.generationId}/1`)).not.toBeNull();
    await removeReferences(bucket, []);
    expect(calls).toEqual(["delete"]);
  });
});
