import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { Account } from "../../src/account/account.ts";
import { WASTED_UPLOADS_MAX } from "../../src/account/uploads.ts";
import { frame, jpeg, png } from "../images/samples.ts";
import {
  type CallOptions,
  call,
  creditsOf,
  eventually,
  limitedUser,
  newUser,
  storedReferences,
  type TestUser,
} from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { invalid, refusal } from "../support/shapes.ts";
import { provide, tinyImage } from "../support/tiny-provider.ts";

/** `reference_images` of a JSON request, and `images` of OpenAI's: by id, by URL, and as data URLs. */

const PATH = "/api/v1/images/generations";
const EDITS = "/openai/v1/images/edits";
const ASKED = { model: "gpt-image-2", prompt: "a hill", size: "1024x1024" };
const server = inject("pictureServer");
const settings = { ALLOW_INSECURE_URLS: "true" };

let user: TestUser;
let provider: ReturnType<typeof provide>;
/** What the provider read of each reference, in order. */
let read: Uint8Array[];

beforeEach(async () => {
  spyOnLog();
  user = await newUser(100);
  read = [];
  provider = provide();
  provider.mockImplementation(async function* (_request, { references }) {
    read = [];
    for (const { open } of references) read.push(await new Response(await open()).bytes());
    yield tinyImage();
  });
});

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  const keys = await storedReferences();
  await env.REFERENCES.delete(keys);
  // Whatever a test did, nothing that came with a request outlives it.
  expect(keys.filter((key) => !key.startsWith("uploaded/"))).toEqual([]);
});

const dataUrl = (image: Uint8Array, type = "image/png") =>
  `data:${type};base64,${Buffer.from(image).toString("base64")}`;

const generate = (reference_images: unknown, fields: object = {}, options: CallOptions = {}) =>
  call("POST", PATH, {
    key: user.key,
    json: { ...ASKED, reference_images, ...fields },
    settings,
    ...options,
  });

/** Sends what must be refused, and sees that it cost nothing, reached no provider and left nothing. */
async function refused(reference_images: unknown, options: CallOptions = {}) {
  const answer = await generate(reference_images, {}, options);
  expect(await creditsOf(user)).toBe(100);
  expect(provider).not.toHaveBeenCalled();
  expect((await storedReferences()).filter((key) => !key.startsWith("uploaded/"))).toEqual([]);
  return refusal(answer);
}

async function uploaded(image: Uint8Array = png(5, 5), key = user.key): Promise<string> {
  const headers = { "Content-Type": "image/png" };
  const { body } = await call("POST", "/api/v1/references", { key, body: image, headers });
  return z.object({ id: z.string() }).parse(body).id;
}

async function callsOf(part: string): Promise<number> {
  const calls: string[] = await (await fetch(`${server}/_calls`)).json();
  return calls.filter((path) => path.includes(part)).length;
}

/** A URL that no other test asks for. */
const marked = (path: string) => `${server}${path}?mark=${crypto.randomUUID()}`;

describe("a request with reference_images", () => {
  it("takes ids, URLs and data URLs, freely mixed, in order", async () => {
    const photo = jpeg(frame(9, 9));
    const id = await uploaded();
    const list = [
      dataUrl(photo, "image/jpeg"),
      `${server}/picture/6`,
      id,
      dataUrl(png(7, 7)),
      id,
      `${server}/redirect/3`,
    ];
    const answer = await generate(list);
    expect(answer.status).toBe(200);
    expect(read).toEqual([photo, png(6, 8), png(5, 5), png(7, 7), png(5, 5), png(8, 8)]);
    expect(await creditsOf(user)).toBe(92);
    expect(await storedReferences()).toEqual([`uploaded/${user.id}/${id}`]);
  });

  it.each([0, 1, 15, 16])("takes %i", async (count) => {
    const list = Array.from(
      { length: count },
      (_, at) => [dataUrl(png(8, 8)), `${server}/picture/8`][at % 2],
    );
    expect([(await generate(list)).status, read.length]).toEqual([200, count]);
  });

  it("does not take seventeen, of whichever kind, and fetches none of them", async () => {
    const atMost = invalid("reference_images", "^reference_images may hold at most 16 images");
    const url = marked("/picture/8");
    expect(await refused(Array(17).fill(url))).toEqual(atMost);
    expect(await refused(Array(17).fill(dataUrl(png(8, 8))))).toEqual(atMost);
    expect(await refused(Array(17).fill(await uploaded()))).toEqual(atMost);
    expect(await refused([...Array(16).fill(dataUrl(png(8, 8))), url])).toEqual(atMost);
    expect(await callsOf(url.slice(server.length))).toBe(0);
  });

  it("waits for nothing but the references: async too", async () => {
    const answer = await generate([`${server}/picture/8`], { async: true });
    expect(answer.status).toBe(202);
    await eventually(async () => read.length === 1 && (await storedReferences()).length === 0);
    expect(read).toEqual([png(8, 8)]);
  });

  it.each<[string, unknown, string | null, RegExp]>([
    ["a text", "https://example.com/a.png", "reference_images", /^reference_images must be an array/],
    ["null", null, "reference_images", /must be an array/],
    ["a number in it", [1], "reference_images.0", /must be a string/],
    ["an object in it", [{ url: "https://example.com/" }], "reference_images.0", /must be a string/],
    ["a word", ["ref"], "reference_images[0]", /must be the id of an uploaded reference/],
    ["an id of another kind", ["gen_01ARZ3NDEKTSV4RRFFQ69G5FAV"], "reference_images[0]", /must be the id/],
    ["a place that only we write", ["data:,1"], "reference_images[0]", /must be the id/],
    ["a data URL of text", ["data:text/plain,a"], "reference_images[0]", /must be the id/],
    [
      "an unknown id",
      ["ref_01ARZ3NDEKTSV4RRFFQ69G5FAV"],
      "reference_images[0]",
      /names no uploaded reference/,
    ],
    ["an inner address", ["https://10.0.0.1/"], "reference_images[0]", /must not name a private/],
    ["user info", ["https://a:b@example.com/"], "reference_images[0]", /must not contain a user name/],
    [
      "a long URL",
      [`https://example.com/${"a".repeat(2_048)}`],
      "reference_images[0]",
      /at most 2048 characters/,
    ],
    ["no picture", [dataUrl(new Uint8Array(9))], "reference_images[0]", /is not a PNG, JPEG or WebP image/],
    ["a cut picture", [dataUrl(png(8, 8).subarray(0, -3))], "reference_images[0]", /is cut off or damaged/],
    ["broken base64", ["data:image/png;base64,AB=A"], "reference_images[0]", /is not valid base64/],
    [
      "a missing page",
      [`${server}/status/404`],
      "reference_images[0]",
      /could not be fetched: the server answered 404/,
    ],
    ["a page", [`${server}/html`], "reference_images[0]", /is not a PNG/],
    ["a loop", [`${server}/loop`], "reference_images[0]", /redirects more than 3 times/],
    [
      "a way inside",
      [`${server}/to/?url=http://10.1.1.1/`],
      "reference_images[0]",
      /redirects to a URL that must not/,
    ],
  ])("is refused with %s", async (_, list, param, message) => {
    expect(await refused(list)).toEqual(invalid(param, message));
  });

  it("names the entry that cannot be used, counted from 0 among all of them", async () => {
    const good = [dataUrl(png(8, 8)), await uploaded(), `${server}/picture/8`];
    const bad: [unknown, RegExp][] = [
      [dataUrl(new Uint8Array(9)), /^reference_images\[3\] is not a PNG/],
      ["data:image/png;base64,AB=A", /^reference_images\[3\] is not valid base64/],
      ["data:,3", /^reference_images\[3\] must be/],
      ["ref_01ARZ3NDEKTSV4RRFFQ69G5FAV", /^reference_images\[3\] names no uploaded reference/],
      [`${server}/status/503`, /^reference_images\[3\] could not be fetched: the server answered 503/],
      ["https://intranet/", /^reference_images\[3\] must name a public host/],
    ];
    for (const [entry, message] of bad) {
      expect(await refused([...good, entry, dataUrl(png(8, 8))])).toEqual(
        invalid("reference_images[3]", message),
      );
    }
  });

  it("is refused for an image outside of the list, which nobody would see", async () => {
    const json = JSON.stringify({ ...ASKED, extra: { reference_images: [dataUrl(png(8, 8))] } });
    const answer = await call("POST", PATH, {
      key: user.key,
      body: json,
      headers: { "Content-Type": "application/json" },
    });
    expect(refusal(answer)).toEqual(invalid("extra", /not a field/));
    expect(await creditsOf(user)).toBe(100);
  });

  it("takes http and loopback addresses in development only", async () => {
    const url = marked("/picture/8");
    const https = invalid("reference_images[0]", /^reference_images\[0\] must be an https URL/);
    expect(await refused([url], { settings: {} })).toEqual(https);
    const production = { ...settings, PUBLIC_BASE_URL: "https://hub.example" };
    expect(await refused([url], { settings: production })).toEqual(https);
    expect(await callsOf(url.slice(server.length))).toBe(0);
  });

  it("checks everything else before it fetches anything", async () => {
    const url = marked("/picture/8");
    const answer = await generate([url], { size: "1x1" });
    expect([refusal(answer).param, await callsOf(url.slice(server.length))]).toEqual(["size", 0]);
  });

  it("needs credits before anything is stored or fetched", async () => {
    const poor = await newUser(7);
    const url = marked("/picture/8");
    for (const entry of [url, dataUrl(png(8, 8)), await uploaded(png(5, 5), (await newUser(8)).key)]) {
      const answer = await generate([entry], {}, { key: poor.key });
      expect([400, 402]).toContain(answer.status);
    }
    expect(await callsOf(url.slice(server.length))).toBe(0);
  });

  it("counts toward the limits of uploads, and one that is refused toward those in vain", async () => {
    for (let at = 0; at < WASTED_UPLOADS_MAX; at++) {
      const entry = at % 2 === 0 ? `${server}/status/404` : dataUrl(new Uint8Array(9));
      expect((await generate([entry])).status).toBe(400);
    }
    for (const entry of [`${server}/picture/8`, dataUrl(png(8, 8))]) {
      expect(refusal(await generate([entry]))).toMatchObject({ status: 429, code: "rateLimited" });
    }
    // One without references, or with those uploaded before, is no upload.
    expect((await generate([])).status).toBe(200);
  });

  it("is refused by a limit before anything is fetched", async () => {
    const limited = await limitedUser(100, { RATE_LIMIT_PER_MINUTE: "1" });
    const url = marked("/picture/8");
    expect((await generate([], {}, { key: limited.key })).status).toBe(200);
    expect(refusal(await generate([url], {}, { key: limited.key }))).toMatchObject({ code: "rateLimited" });
    expect(await callsOf(url.slice(server.length))).toBe(0);
  });

  it("is a 503 while the account does not answer", async () => {
    const id = await uploaded();
    vi.spyOn(Account.prototype, "references").mockImplementation(() => {
      throw new Error("the account is down");
    });
    expect(await refused([id])).toMatchObject({ status: 503, code: "serviceUnavailable" });
  });

  it("in a form takes files only", async () => {
    const form = new FormData();
    for (const [name, value] of Object.entries({ ...ASKED, reference_images: "https://example.com/" }))
      form.append(name, value);
    expect(refusal(await call("POST", PATH, { key: user.key, body: form }))).toEqual(
      invalid("reference_images", /a form sends files/),
    );
  });
});

describe("a reference that was uploaded ahead", () => {
  it("serves several generations, and only those of its user", async () => {
    const id = await uploaded();
    for (let at = 0; at < 3; at++) expect((await generate([id])).status).toBe(200);
    expect(read).toEqual([png(5, 5)]);
    const other = await newUser(100);
    expect(refusal(await generate([id], {}, { key: other.key }))).toEqual(
      invalid("reference_images[0]", /names no uploaded reference/),
    );
  });

  it("can be used until it is deleted, or 24 hours old", async () => {
    const [first, second] = [await uploaded(), await uploaded()];
    await call("DELETE", `/api/v1/references/${first}`, { key: user.key });
    expect(await refused([first])).toEqual(
      invalid("reference_images[0]", /was deleted, or is older than 24 hours/),
    );
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 86_400_000 });
    expect(await refused([second])).toEqual(invalid("reference_images[0]", /names no uploaded reference/));
  });

  it("that is deleted while a generation runs is read by it to the end", async () => {
    const id = await uploaded();
    let began = false;
    provider.mockImplementation(async function* (_request, { references }) {
      began = true;
      await eventually(async () => (await env.ACCOUNT.getByName(user.id).references([id], true))[0] === null);
      for (const { open } of references) read.push(await new Response(await open()).bytes());
      yield tinyImage();
    });
    const answer = generate([id]);
    await eventually(() => began);
    expect((await call("DELETE", `/api/v1/references/${id}`, { key: user.key })).status).toBe(204);
    expect([(await answer).status, read]).toEqual([200, [png(5, 5)]]);
  });

  it("that is deleted between the look-up and the charge is not charged for", async () => {
    const id = await uploaded();
    const { references } = Account.prototype;
    vi.spyOn(Account.prototype, "references").mockImplementation(function (this: Account, ids, livemode) {
      const found = references.call(this, ids, livemode);
      void this.deleteReference(id, true);
      return found;
    });
    expect(await refused([dataUrl(png(8, 8)), id])).toEqual(
      invalid("reference_images[1]", /^reference_images\[1\] names no uploaded reference/),
    );
  });
});

describe("the same request again, with the same idempotency key", () => {
  const headers = () => ({ "Idempotency-Key": crypto.randomUUID() });

  it("is answered from the first, and fetches nothing again", async () => {
    const url = marked("/picture/8");
    const options = { headers: headers() };
    const list = [url, dataUrl(png(7, 7)), await uploaded()];
    const first = await generate(list, {}, options);
    const again = await generate(list, {}, options);
    expect([first.status, again.status, again.headers.get("Idempotent-Replayed")]).toEqual([
      200,
      200,
      "true",
    ]);
    expect(z.object({ id: z.string() }).parse(again.body).id).toBe(
      z.object({ id: z.string() }).parse(first.body).id,
    );
    expect([await callsOf(url.slice(server.length)), await creditsOf(user)]).toEqual([1, 92]);
  });

  it("is answered when its references are gone", async () => {
    const id = await uploaded();
    const options = { headers: headers() };
    await generate([id], {}, options);
    await call("DELETE", `/api/v1/references/${id}`, { key: user.key });
    expect((await generate([id], {}, options)).headers.get("Idempotent-Replayed")).toBe("true");
  });

  it.each<[string, (id: string) => unknown[]]>([
    ["another URL", () => [`${server}/picture/9`]],
    ["another order", (id) => [id, `${server}/picture/8`]],
    ["one less", () => [`${server}/picture/8`]],
    ["the same picture as a data URL", (id) => [dataUrl(png(8, 8)), id]],
  ])("but with %s is a 422", async (_, other) => {
    const id = await uploaded();
    const options = { headers: headers() };
    await generate([`${server}/picture/8`, id], {}, options);
    expect(refusal(await generate(other(id), {}, options))).toMatchObject({ code: "idempotencyMismatch" });
    expect(await creditsOf(user)).toBe(92);
  });

  it("joins also where the account cannot be asked before the fetch", async () => {
    const url = marked("/picture/8");
    const options = { headers: headers() };
    await generate([url], {}, options);
    vi.spyOn(Account.prototype, "repeated").mockImplementation(() => {
      throw new Error("an account of an older release");
    });
    expect((await generate([url], {}, options)).headers.get("Idempotent-Replayed")).toBe("true");
    expect([await callsOf(url.slice(server.length)), await creditsOf(user)]).toEqual([2, 92]);
  });

  it("after a refusal is a new request", async () => {
    const options = { headers: headers() };
    expect((await generate([`${server}/status/404`], {}, options)).status).toBe(400);
    expect((await generate([`${server}/picture/8`], {}, options)).status).toBe(200);
  });
});

describe("OpenAI's edits", () => {
  const edit = (images: unknown[], options: CallOptions = {}) =>
    call("POST", EDITS, { key: user.key, json: { prompt: "a hill", images }, settings, ...options });
  const errorOf = ({ body }: { body: unknown }) =>
    z.object({ error: z.object({ message: z.string(), param: z.string().nullable() }) }).parse(body).error;

  it("take URLs in every form, beside data URLs and ids", async () => {
    const id = await uploaded();
    const answer = await edit([
      { image_url: `${server}/picture/6` },
      { image_url: { url: dataUrl(png(7, 7)) } },
      `${server}/redirect/1`,
      { image_url: id },
    ]);
    expect([answer.status, read]).toEqual([200, [png(6, 8), png(7, 7), png(8, 8), png(5, 5)]]);
    expect(await creditsOf(user)).toBe(92);
  });

  it("name the image that cannot be used, counted from 1", async () => {
    const [good, bad] = [dataUrl(png(8, 8)), `${server}/status/404`];
    expect(errorOf(await edit([good, { image_url: bad }]))).toEqual({
      param: "images",
      message: "image 2 could not be fetched: the server answered 404.",
    });
    expect(
      errorOf(await edit([`${server}/picture/8`, { image_url: dataUrl(new Uint8Array(9)) }])).message,
    ).toMatch(/^image 2 is not a PNG/);
    expect(errorOf(await edit(Array(17).fill(`${server}/picture/8`))).message).toMatch(/at most 16/);
    expect([await creditsOf(user), provider.mock.calls.length]).toEqual([100, 0]);
  });

  it("that an SDK retries join what they made, and fetch nothing again", async () => {
    const url = marked("/picture/8");
    const retry = (count: number) => ({ headers: { "X-Stainless-Retry-Count": String(count) } });
    vi.spyOn(Account.prototype, "delivered").mockReturnValue();
    expect((await edit([url], retry(0))).status).toBe(200);
    expect((await edit([url], retry(1))).status).toBe(200);
    expect([await callsOf(url.slice(server.length)), await creditsOf(user)]).toEqual([1, 92]);
  });
});

it("keeps nothing of a reference in the account but what names it", async () => {
  await generate([`${server}/picture/8`, dataUrl(png(7, 7))]);
  const stored = await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) =>
    storage.sql.exec<{ request: string }>("SELECT request FROM generations").one(),
  );
  expect(JSON.parse(stored.request).references.map((one: object) => Object.keys(one).toSorted())).toEqual(
    Array.from({ length: 2 }, () => ["bytes", "contentType", "height", "key", "sha256", "width"]),
  );
});
