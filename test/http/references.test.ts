import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { Account } from "../../src/account/account.ts";
import { UPLOADED_REFERENCES_MAX } from "../../src/account/references.ts";
import { filled, frame, jpeg, png, webpLossy } from "../images/samples.ts";
import {
  type CallOptions,
  call,
  creditsOf,
  newUser,
  storedReferences,
  type TestUser,
} from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { invalid, refusal } from "../support/shapes.ts";
import { END, file, formRequest, streamed, text } from "./forms.ts";

const PATH = "/api/v1/references";
const Reference = z.strictObject({
  id: z.string(),
  object: z.literal("reference"),
  livemode: z.literal(true),
  content_type: z.string(),
  bytes: z.int(),
  width: z.int(),
  height: z.int(),
  expires_at: z.iso.datetime({ precision: 3 }),
});
const FILE_BYTES_MAX = 50 * 1024 * 1024;
const DAY_MS = 86_400_000;
const R2: R2Bucket = Object.getPrototypeOf(env.REFERENCES);

let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  user = await newUser(100);
});

afterEach(async () => {
  vi.restoreAllMocks();
  await Promise.all((await storedReferences()).map((key) => env.REFERENCES.delete(key)));
});

const upload = (body: BodyInit, options: CallOptions = {}) =>
  call("POST", PATH, { key: user.key, body, headers: { "Content-Type": "image/png" }, ...options });

const uploadForm = (...parts: Parameters<typeof formRequest>) => {
  const { body, headers } = formRequest(...parts);
  return call("POST", PATH, { key: user.key, body: body ?? "", headers: Object.fromEntries(headers) });
};

const remove = (id: string, key = user.key) => call("DELETE", `${PATH}/${id}`, { key });

async function uploaded(key = user.key): Promise<string> {
  return Reference.parse((await upload(png(8, 8), { key })).body).id;
}

describe("an upload", () => {
  it.each([
    ["image/png", png(30, 20)],
    ["image/jpeg", jpeg(frame(30, 20))],
    ["image/webp", webpLossy(30, 20)],
  ])("of %s is told by its bytes, kept a day and not charged for", async (type, image) => {
    const before = Date.now();
    const answer = await upload(image, { headers: { "Content-Type": "application/octet-stream" } });
    expect(answer.status).toBe(201);
    const reference = Reference.parse(answer.body);
    expect(reference).toMatchObject({ content_type: type, bytes: image.length, width: 30, height: 20 });
    expect(reference.id).toMatch(/^ref_[0-7][0-9A-HJKMNP-TV-Z]{25}$/);
    expect(Math.abs(Date.parse(reference.expires_at) - before - DAY_MS)).toBeLessThan(10_000);
    const object = await env.REFERENCES.get(`uploaded/${user.id}/${reference.id}`);
    expect(new Uint8Array((await object?.arrayBuffer()) ?? new ArrayBuffer())).toEqual(image);
    expect(await creditsOf(user)).toBe(100);
  });

  it.each(["file", "image", "reference_image", "reference_image[]", "anything"])(
    "may be a form with the file in a field named %s",
    async (field) => {
      const form = new FormData();
      form.append(field, new File([png(8, 8)], "a.gif"));
      const answer = await call("POST", PATH, { key: user.key, body: form });
      expect([answer.status, Reference.parse(answer.body).content_type]).toEqual([201, "image/png"]);
    },
  );

  it("is never held whole, and may have 50 MB to the byte", async () => {
    const stream = streamed([filled(png(8, 8), FILE_BYTES_MAX)]).stream;
    expect(Reference.parse((await upload(stream)).body).bytes).toBe(FILE_BYTES_MAX);
  });

  it("of one byte more is refused, whether its length is declared or not", async () => {
    const tooLarge = invalid(null, "^The image is larger than 50 MB.$");
    const { stream, state } = streamed([filled(png(8, 8), FILE_BYTES_MAX + 1)]);
    expect(refusal(await upload(stream))).toEqual(tooLarge);
    expect(state.bytes).toBeLessThanOrEqual(FILE_BYTES_MAX + 1);
    const declared = { "Content-Length": String(FILE_BYTES_MAX + 1) };
    expect(refusal(await upload(streamed([png(8, 8)]).stream, { headers: declared, settings: {} }))).toEqual(
      tooLarge,
    );
    const form = await uploadForm(
      streamed([...file(filled(png(8, 8), FILE_BYTES_MAX + 1), "file"), ...END]).stream,
    );
    expect(refusal(form)).toEqual(invalid("file", "^file 1 is larger than 50 MB.$"));
    expect(await storedReferences()).toEqual([]);
  });

  it.each<[string, BodyInit, string]>([
    ["no picture", "GIF89a, says the file", "^The image is not a PNG, JPEG or WebP image.$"],
    ["a picture that is cut off", png(8, 8).subarray(0, -5), "^The image is cut off or damaged"],
    ["nothing", new Uint8Array(0), "^The image is not a PNG|^The body is empty"],
    ["JSON", '{"url":"https://example.com/a.png"}', "^The image is not a PNG"],
  ])("with %s is refused, and leaves nothing", async (_, body, message) => {
    expect(refusal(await upload(body))).toEqual(invalid(null, message));
    expect(await storedReferences()).toEqual([]);
  });

  it("without a body is refused", async () => {
    expect(refusal(await call("POST", PATH, { key: user.key }))).toEqual(invalid(null, "^The body is empty"));
  });

  it.each<[string, Parameters<typeof streamed>[0], string | null, string]>([
    ["no file", [...text("a", "b"), ...END], "a", "^a is not a field of this request.$"],
    ["nothing", [...END], "file", "^file is required.$"],
    [
      "two files",
      [...file(png(8, 8), "file"), ...file(png(8, 8), "file"), ...END],
      "file",
      "at most 1 times",
    ],
    [
      "a text field",
      [...file(png(8, 8), "file"), ...text("purpose", "x"), ...END],
      "purpose",
      "^purpose is not",
    ],
    ["no picture", [...file(new Uint8Array(9), "file"), ...END], "file", "^file 1 is not a PNG"],
    ["half of itself", [...file(png(8, 8), "file")], null, "malformed or ends early"],
  ])("as a form with %s is refused, and leaves nothing", async (_, pieces, param, message) => {
    expect(refusal(await uploadForm(streamed(pieces).stream))).toEqual(invalid(param, message));
    expect(await storedReferences()).toEqual([]);
  });

  it("that is compressed is refused", async () => {
    const headers = { "Content-Encoding": "gzip" };
    expect(refusal(await upload(png(8, 8), { headers }))).toMatchObject({
      ...{ status: 415, code: "unsupportedMediaType", param: "Content-Encoding" },
    });
  });

  it("needs a key, and credits for a generation", async () => {
    expect(refusal(await call("POST", PATH, { body: png(8, 8) }))).toMatchObject({ status: 401 });
    const poor = await newUser(0);
    expect(refusal(await upload(png(8, 8), { key: poor.key }))).toMatchObject({
      ...{ status: 402, code: "insufficientCredits", required: 1, available: 0 },
    });
  });

  it("beyond what an account may hold is a 409, and beyond what it may upload a 429", async () => {
    const id = await uploaded();
    const account = env.ACCOUNT.getByName(user.id);
    const [reference] = await account.references([id], true);
    if (!reference) throw new Error("The reference is not there.");
    for (let at = 1; at < UPLOADED_REFERENCES_MAX; at++) {
      await account.keepReference({ ...reference, id: `ref_${at}` });
    }
    expect(refusal(await upload(png(8, 8)))).toMatchObject({
      status: 409,
      code: "conflict",
      message: expect.stringContaining("200 uploaded references, of 4 GB together"),
    });
    await remove(id);
    expect((await upload(png(8, 8))).status).toBe(201);
    vi.spyOn(Account.prototype, "admitReference").mockReturnValue({
      kind: "uploads_limited",
      retryAfterSeconds: 99,
    });
    const limited = await upload(png(8, 8));
    expect([refusal(limited).code, limited.headers.get("Retry-After")]).toEqual(["rateLimited", "59"]);
  });

  it("that finds the account full at its end leaves nothing", async () => {
    vi.spyOn(Account.prototype, "keepReference").mockReturnValue("full");
    expect(refusal(await upload(png(8, 8)))).toMatchObject({ status: 409 });
    expect(await storedReferences()).toEqual([]);
  });

  it("is a 503 while the account does not answer, and leaves nothing", async () => {
    const keep = vi.spyOn(Account.prototype, "keepReference").mockImplementation(() => {
      throw new Error("the account is down");
    });
    expect(refusal(await upload(png(8, 8)))).toMatchObject({ status: 503, code: "serviceUnavailable" });
    expect([keep.mock.calls.length, await storedReferences()]).toEqual([3, []]);
    vi.spyOn(Account.prototype, "admitReference").mockImplementation(() => {
      throw new Error("the account is down");
    });
    expect(refusal(await upload(png(8, 8)))).toMatchObject({ status: 503 });
  });

  it("is a 500 while storage fails, and leaves nothing", async () => {
    vi.spyOn(R2, "put").mockRejectedValue(new Error("storage is down"));
    expect(refusal(await upload(png(8, 8)))).toMatchObject({ status: 500, code: "internalError" });
    expect(await env.ACCOUNT.getByName(user.id).admitReference("upload_x", 8, 0)).toEqual({
      kind: "admitted",
    });
  });
});

describe("a deletion", () => {
  it("is a 204 once, then a 404, and the object is gone", async () => {
    const id = await uploaded();
    expect([(await remove(id)).status, await storedReferences()]).toEqual([204, []]);
    expect(refusal(await remove(id))).toMatchObject({ status: 404, code: "notFound" });
  });

  it("of what is another's, or no id, is the same 404", async () => {
    const id = await uploaded();
    const other = await newUser(100);
    const answers = [
      await remove(id, other.key),
      await remove("ref_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
      await remove("ref_x"),
      await remove(`${id}x`),
      await remove("gen_01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ].map(refusal);
    expect(answers).toEqual(Array.from({ length: 5 }, () => answers[0]));
    expect(answers[0]).toMatchObject({ status: 404, code: "notFound" });
    expect((await storedReferences()).length).toBe(1);
  });

  it("needs a key, and an account that answers", async () => {
    const id = await uploaded();
    expect(refusal(await call("DELETE", `${PATH}/${id}`))).toMatchObject({ status: 401 });
    vi.spyOn(Account.prototype, "deleteReference").mockRejectedValue(new Error("the account is down"));
    expect(refusal(await remove(id))).toMatchObject({ status: 503 });
  });
});

it("is never served", async () => {
  const id = await uploaded();
  for (const path of [`${PATH}/${id}`, `/images/uploaded/${user.id}/${id}`, `/images/${id}/1`]) {
    expect((await call("GET", path, { key: user.key })).status).toBeGreaterThanOrEqual(404);
  }
});
