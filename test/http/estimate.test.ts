import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { newId } from "../../src/id.ts";
import { png } from "../images/samples.ts";
import { call, creditsOf, newTestKey, newUser, storedReferences, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { provide } from "../support/tiny-provider.ts";

const asked = { model: "gpt-image-2", prompt: "a lighthouse" };
const PICTURE = `data:image/png;base64,${btoa(String.fromCharCode(...png(1, 1)))}`;
const PIXEL = `data:image/png;base64,${btoa("not a picture at all")}`;

let user: TestUser;

beforeEach(async () => {
  spyOnLog();
  provide();
  user = await newUser(40);
});
afterEach(() => vi.restoreAllMocks());

const estimate = (json: unknown, options: object = {}) =>
  call("POST", "/api/v1/images/estimate", { key: user.key, json, ...options });

describe("POST /api/v1/images/estimate", () => {
  it("prices what the real call charges, and charges nothing", async () => {
    const json = { ...asked, resolution: "2K", aspect_ratio: "16:9", n: 2, async: false };
    const { status, body } = await estimate(json);
    const balance = { object: "credit_balance", credits: 40, account_type: "FREE", next_expiration: null };
    expect([status, body]).toEqual([
      200,
      {
        ...{
          object: "estimate",
          model: "gpt-image-2",
          aspect_ratio: "16:9",
          quality: "2K",
          size: "2560x1440",
        },
        ...{ n: 2, credits: 20, balance, affordable: true },
      },
    ]);
    expect(await creditsOf(user)).toBe(40);
    const made = await call("POST", "/api/v1/images/generations", { key: user.key, json });
    expect(z.looseObject({ usage: z.looseObject({}) }).parse(made.body).usage).toMatchObject({
      credits_charged: 20,
    });
    expect((await estimate({ ...json, n: 3 })).body).toMatchObject({ credits: 30, affordable: false });
    expect((await estimate({ ...json, n: 2 })).body).toMatchObject({ credits: 20, affordable: true });
  });

  it("has size auto where the provider chooses the shape, and canonical ids", async () => {
    const answer = await estimate({ ...asked, model: "openai/gpt-image-2" });
    expect(answer.body).toMatchObject({
      model: "gpt-image-2",
      size: "auto",
      aspect_ratio: "auto",
      credits: 8,
    });
  });

  it("is always affordable for a test key", async () => {
    const key = await newTestKey(user.id);
    expect((await estimate({ ...asked, n: 4, quality: "4K" }, { key })).body).toMatchObject({
      credits: 48,
      affordable: true,
    });
  });

  it("takes references by entry and fetches none", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    const large = `data:image/png;base64,${"A".repeat(2 * 1024 * 1024)}`;
    const reference_images = [newId("ref"), "https://example.com/a.png", PIXEL, large];
    expect((await estimate({ ...asked, reference_images })).status).toBe(200);
    expect(fetched).not.toHaveBeenCalled();
    expect(await storedReferences()).toEqual([]);
  });

  it.each<[object]>([
    [{ prompt: "" }],
    [{ model: "dall-e-3" }],
    [{ size: "1x1" }],
    [{ n: 5 }],
    [{ size: "1024x1024", aspect_ratio: "16:9" }],
    [{ colour: "red" }],
    [{ output_format: "png", output_compression: 5 }],
    [{ webhook_url: "http://127.0.0.1/" }],
    [{ max_credits: 7 }],
    [{ metadata: { a: 1 } }],
    [{ reference_images: ["ftp://example.com/a.png"] }],
    [{ reference_images: ["data:image/png;base64,???"] }],
    [{ reference_images: Array.from({ length: 17 }, () => newId("ref")) }],
    [{ reference_images: Array.from({ length: 17 }, () => PICTURE) }],
    [{ prompt: null, model: undefined }],
  ])("refuses %.60j as the real call does", async (fields) => {
    const json = { ...asked, ...fields };
    const real = await call("POST", "/api/v1/images/generations", { key: user.key, json });
    const { status, body } = await estimate(json);
    const told = ({ error }: { error: Record<string, unknown> }) => ({ ...error, request_id: "" });
    const Refused = z.object({ error: z.record(z.string(), z.unknown()) });
    expect([status, told(Refused.parse(body))]).toEqual([real.status, told(Refused.parse(real.body))]);
    expect(status).toBe(400);
  });

  it("is a 503 where no provider is configured, and takes JSON only", async () => {
    const settings = { IMAGE_PROVIDER: "openai" };
    expect((await estimate(asked, { settings })).status).toBe(503);
    const body = new FormData();
    body.set("model", "gpt-image-2");
    expect((await call("POST", "/api/v1/images/estimate", { key: user.key, body })).status).toBe(415);
  });

  it("counts toward no limit of the account, and is limited as reads are", async () => {
    const limit = vi.fn(async () => ({ success: false }));
    const settings = { READS_GUARD: { limit } };
    expect((await estimate(asked, { settings })).status).toBe(429);
    expect(limit).toHaveBeenCalledOnce();
  });
});
