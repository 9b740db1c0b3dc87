import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { models, priceOf } from "../../src/catalogue/models.ts";
import { modelSizeOf } from "../../src/catalogue/shape.ts";
import { png } from "../images/samples.ts";
import { type CallOptions, call, creditsOf, newUser, type TestUser } from "../support/http.ts";
import { invalid, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";
import { BOUNDARY, bytesOf, END, file, type Piece, text } from "./forms.ts";

/** What each model's own limits make of a request, at both doors. */
const PATH = "/api/v1/images/generations";
const CREDITS = 2000;
const onlyOpenAI = { IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-test" };

let user: TestUser;
let provider: ReturnType<typeof provide>;

beforeEach(async () => {
  user = await newUser(CREDITS, "PRO");
  provider = provide();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const post = (json: object, options: CallOptions = {}) =>
  call("POST", PATH, { key: user.key, json: { prompt: "a hill", ...json }, ...options });

async function refused(json: object, options: CallOptions = {}) {
  const answer = await post(json, options);
  expect(await creditsOf(user)).toBe(CREDITS);
  expect(provider).not.toHaveBeenCalled();
  return refusal(answer);
}

async function sendForm(path: string, pieces: Piece[]) {
  const headers = { "Content-Type": `multipart/form-data; boundary=${BOUNDARY}` };
  return await call("POST", path, { key: user.key, headers, body: await bytesOf([...pieces, ...END]) });
}

const Drawn = z.object({
  model: z.string(),
  aspect_ratio: z.string(),
  quality: z.string(),
  images: z.array(z.object({ width: z.number(), height: z.number(), content_type: z.string() })),
  usage: z.object({ credits: z.number() }),
});

const otherModels = models.filter((model) => model.default_aspect_ratio !== "auto");
const names = models.flatMap(({ id, aliases }) => aliases.map((alias) => [alias, id] as const));

describe("a request that names only a model", () => {
  it.each(otherModels)(
    "$id is drawn in its default shape, as PNG by the built-in provider",
    async (model) => {
      const { id, default_aspect_ratio: ratio, default_quality: tier } = model;
      const answer = await post({ model: id });
      expect(answer.status).toBe(200);
      const size = ratio === "auto" ? { width: 1024, height: 1024 } : modelSizeOf(model, ratio, tier);
      expect(Drawn.parse(answer.body)).toEqual({
        model: id,
        aspect_ratio: ratio,
        quality: tier,
        images: [{ ...size, content_type: "image/png" }],
        usage: { credits: priceOf(model, tier, 1) },
      });
    },
  );

  it.each(names)("%s is answered as %s", async (alias, id) => {
    expect(Drawn.parse((await post({ model: alias })).body).model).toBe(id);
  });
});

describe("a request in a model's largest shape", () => {
  it.each(otherModels)("$id", async (model) => {
    const tier = model.supported_qualities.at(-1) ?? "1K";
    const ratio = model.supported_aspect_ratios.at(-1) ?? "1:1";
    const fields = { model: model.id, aspect_ratio: ratio, resolution: tier, n: model.max_images };
    const answer = await post(fields);
    const drawn = Drawn.parse(answer.body);
    expect([drawn.aspect_ratio, drawn.quality, drawn.images.length]).toEqual([ratio, tier, model.max_images]);
    expect(drawn.usage.credits).toBe(priceOf(model, tier, model.max_images));
    expect(provider.mock.calls[0]?.[0]).toMatchObject({ aspectRatio: ratio, tier });
  });
});

describe("a request outside a model's limits", () => {
  it.each<[object, string, string]>([
    [{ model: "gemini-3-pro-image", size: "1024x1040" }, "size", "The nearest valid size is 1024x1024."],
    [{ model: "gemini-3-pro-image", aspect_ratio: "1:8" }, "aspect_ratio", "The nearest is 9:16."],
    [{ model: "nano-banana", aspect_ratio: "auto" }, "aspect_ratio", "The nearest is 1:1."],
    [{ model: "nano-banana", quality: "low" }, "quality", "The nearest is auto."],
    [{ model: "nano-banana", output_format: "png" }, "output_format", "cannot be chosen"],
    [{ model: "nano-banana", output_compression: 10 }, "output_compression", "cannot be chosen"],
    [{ model: "flux-2-pro", resolution: "4K" }, "resolution", "The nearest is 2K."],
    [{ model: "flux-2-pro", size: "3840x2160" }, "size", "at most 4194304 pixels"],
    [
      { model: "flux-2-pro", output_format: "jpeg", output_compression: 10 },
      "output_compression",
      "cannot be chosen",
    ],
    [{ model: "flux-2-pro", output_format: "jpeg" }, "output_format", "one of png: this server's provider"],
    [{ model: "flux-1-schnell", output_format: "png" }, "output_format", "must be jpeg"],
    [{ model: "flux-1-schnell", output_format: "jpeg" }, "output_format", "leave it out, for png"],
    [{ model: "flux-1-schnell", moderation: "low" }, "moderation", "must be auto"],
    [{ model: "flux-1-schnell", prompt: "a".repeat(2049) }, "prompt", "at most 2048 characters"],
    [{ model: "flux-1-schnell", n: 5 }, "n", "from 1 to 4"],
    [{ model: "flux-2-klein-4b", size: "1936x800" }, "size", "at most 1920 pixels"],
  ])("%j is a 400 on %s", async (fields, param, message) => {
    expect(await refused(fields)).toEqual(invalid(param, message));
  });

  it("takes a prompt of 2,048 characters for flux-1-schnell", async () => {
    expect((await post({ model: "flux-1-schnell", prompt: "a".repeat(2048) })).status).toBe(200);
  });

  it.each(otherModels.map(({ id }) => id))(
    "%s, where the deployment has no route for it, is a 400 on model",
    async (id) => {
      const message = "model must be gpt-image-2.";
      expect(await refused({ model: id }, { settings: onlyOpenAI })).toEqual(invalid("model", message));
    },
  );
});

describe("reference images", () => {
  const fields = (model: string) => [...text("model", model), ...text("prompt", "a hill")];
  const files = (count: number) => Array.from({ length: count }, () => file(png(8, 8))).flat();

  it.each(models)("of $id: as many as its limit", async ({ id, reference_image_limit: most }) => {
    const answer = await sendForm(PATH, [...fields(id), ...files(most)]);
    expect(answer.status).toBe(200);
    expect(provider.mock.calls[0]?.[1].references).toHaveLength(most);
  });

  it.each(models)("of $id: not one more", async ({ id, reference_image_limit: most }) => {
    const answer = await sendForm(PATH, [...fields(id), ...files(most + 1)]);
    const message =
      most === 0
        ? `${id} takes no reference images. Leave reference_image out, or use gpt-image-2`
        : /at most/;
    expect(refusal(answer)).toEqual(invalid("reference_image", message));
    expect(await creditsOf(user)).toBe(CREDITS);
  });
});

describe("OpenAI's door", () => {
  const generate = (json: object, options: CallOptions = {}) =>
    call("POST", "/openai/v1/images/generations", {
      key: user.key,
      json: { prompt: "a hill", ...json },
      ...options,
    });

  it("lists the models of the deployment", async () => {
    const idsOf = async (options: CallOptions) =>
      z
        .object({ data: z.array(z.object({ id: z.string() })) })
        .parse((await call("GET", "/openai/v1/models", { key: user.key, ...options })).body)
        .data.map(({ id }) => id);
    expect(await idsOf({})).toEqual(models.map(({ id }) => id));
    expect(await idsOf({ settings: onlyOpenAI })).toEqual(["gpt-image-2"]);
  });

  it.each(otherModels.map(({ id }) => id))("draws %s", async (id) => {
    const answer = await generate({ model: id, quality: "standard", response_format: "url" });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ size: "1024x1024", output_format: "png" });
  });

  it.each<[object, number, string]>([
    [{ model: "flux-2-pro", size: "3840x2160" }, 400, "size"],
    [{ model: "flux-2-pro", quality: "hd" }, 400, "quality"],
    [{ model: "nano-banana-pro", output_format: "jpeg" }, 400, "output_format"],
    [{ model: "flux-1-schnell", n: 5 }, 400, "n"],
    [{ model: "gpt-image-1" }, 404, "model"],
  ])("refuses %j with %i on %s", async (json, status, param) => {
    expect(await generate(json)).toMatchObject({ status, body: { error: { param } } });
    expect(provider).not.toHaveBeenCalled();
  });

  it("refuses a model that the deployment has no route for, and names those there are", async () => {
    const { status, body } = await generate({ model: "flux-2-pro" }, { settings: onlyOpenAI });
    expect([status, body]).toMatchObject([
      404,
      { error: { param: "model", message: expect.stringMatching(/use gpt-image-2\.$/) } },
    ]);
  });

  it("refuses an edit with a model that takes no references", async () => {
    const pieces = [...text("model", "flux-1-schnell"), ...text("prompt", "a"), ...file(png(8, 8), "image")];
    const answer = await sendForm("/openai/v1/images/edits", pieces);
    expect(answer).toMatchObject({ status: 400, body: { error: { param: "image" } } });
    expect(await creditsOf(user)).toBe(CREDITS);
  });
});
