import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { call, eventually, operate, respond, storedReferences } from "../support/http.ts";
import {
  CreditBalance,
  Generated,
  Granted,
  IssuedKey,
  Pending,
  refusal,
  Statement,
  Succeeded,
  User,
} from "../support/shapes.ts";

/** The whole service without doubles, from the operator's first call to the image. */
const PATH = "/api/v1/images/generations";

async function newCustomer(credits: number) {
  const email = `${crypto.randomUUID()}@example.com`;
  const user = User.parse((await operate("POST", "/users", { email })).body);
  Granted.parse(
    (await operate("POST", `/users/${user.id}/credits`, { id: crypto.randomUUID(), credits })).body,
  );
  const { api_key: key } = IssuedKey.parse(
    (await operate("POST", `/users/${user.id}/api_keys`, { name: "a" })).body,
  );
  return { id: user.id, key };
}

async function picture(url: string) {
  const response = await respond("GET", url);
  expect([response.status, response.headers.get("Content-Type")]).toEqual([200, "image/png"]);
  const bytes = Buffer.from(await response.bytes());
  expect(bytes.subarray(0, 8).toString("latin1")).toBe("\x89PNG\r\n\x1a\n");
  expect(bytes.subarray(-8, -4).toString("latin1")).toBe("IEND");
  return { bytes, width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}

it("a customer gets credits and a key, and generates images until the credits are used up", async () => {
  const { id, key } = await newCustomer(24);
  const json = { model: "gpt-image-2", prompt: "a lake at dawn", size: "1024x640", n: 2 };
  const generated = Generated.parse((await call("POST", PATH, { key, json })).body);
  expect(generated).toMatchObject({ aspect_ratio: "8:5", quality: "1K", balance: { credits: 8 } });

  const pictures = await Promise.all(generated.images.map((image) => picture(image.url)));
  expect(pictures.map(({ bytes, width, height }) => [bytes.length, width, height])).toEqual(
    generated.images.map((image) => [image.bytes, image.width, image.height]),
  );
  expect(pictures[0]?.bytes.equals(pictures[1]?.bytes ?? Buffer.alloc(0))).toBe(false);

  expect(refusal(await call("POST", PATH, { key, json }))).toMatchObject({ required: 16, available: 8 });
  expect((await call("POST", PATH, { key, json: { ...json, n: 1 } })).status).toBe(200);
  expect(CreditBalance.parse((await call("GET", "/api/v1/credits", { key })).body).credits).toBe(0);
  const { entries } = Statement.parse((await operate("GET", `/users/${id}/credits`)).body);
  expect(entries.data.map((entry) => entry.credits)).toEqual([-8, -16, 24]);
}, 30_000);

it("an async request with a reference goes through the queue, and its reference is deleted afterwards", async () => {
  const { key } = await newCustomer(8);
  const body = new FormData();
  const fields = { model: "gpt-image-2", prompt: "the same, by night", async: "true", aspect_ratio: "3:1" };
  for (const [name, value] of Object.entries(fields)) body.append(name, value);
  const drawn = await newCustomer(8);
  const json = { model: "gpt-image-2", prompt: "a lake", size: "1024x640" };
  const { images } = Generated.parse((await call("POST", PATH, { key: drawn.key, json })).body);
  body.append("reference_image", new Blob([(await picture(images[0]?.url ?? "")).bytes]), "lake.png");

  const accepted = await call("POST", PATH, { key, body });
  const { id, poll_url } = Pending.parse(accepted.body);
  expect([accepted.status, await storedReferences()]).toEqual([
    202,
    [expect.stringMatching(/^upload_\w+\/1$/)],
  ]);
  const done = await eventually(
    async () => Succeeded.safeParse((await call("GET", poll_url, { key })).body).data,
  );
  const [image] = done.images;
  expect(await picture(image?.url ?? "")).toMatchObject({ width: image?.width, height: image?.height });
  expect([done.id, done.aspect_ratio, done.usage.credits]).toEqual([id, "3:1", 8]);
  await eventually(async () => (await storedReferences()).length === 0);
  const row = await env.LOG.prepare("SELECT status FROM generations WHERE id = ?").bind(id).first();
  expect(row).toEqual({ status: "succeeded" });
}, 30_000);

it("a stolen key is revoked, and its generations still belong to their owner", async () => {
  const { id, key } = await newCustomer(8);
  const json = { model: "gpt-image-2", prompt: "a hill", size: "1024x640" };
  const generated = Generated.parse((await call("POST", PATH, { key, json })).body);
  const { body } = await operate("GET", `/users/${id}/api_keys`);
  const [stolen] = IssuedKey.omit({ api_key: true })
    .array()
    .parse(Reflect.get(Object(body), "data"));
  await operate("DELETE", `/api_keys/${stolen?.id}`);
  expect(refusal(await call("GET", "/api/v1/credits", { key }))).toMatchObject({ code: "invalidApiKey" });
  const fresh = IssuedKey.parse((await operate("POST", `/users/${id}/api_keys`, { name: "b" })).body).api_key;
  const read = await call("GET", `/api/v1/generations/${generated.id}`, { key: fresh });
  expect(Succeeded.parse(read.body).images).toEqual(generated.images);
}, 30_000);
