import type { Context } from "hono";
import { FAILURE_MESSAGES } from "../../account/render.ts";
import type { GenerationRecord } from "../../account/views.ts";
import type { Model } from "../../catalogue/model.ts";
import { models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import type { SdkHeaders } from "../../generations/fingerprint.ts";
import { findOffered, offeredModels } from "../../generations/models.ts";
import type { PartialPicture, PartialsAsked } from "../../generations/partials.ts";
import { reportDelivered, type Submission, type Submitted, submit } from "../../generations/submit.ts";
import { admitUpload, giveUpUpload } from "../../generations/uploads.ts";
import { newId } from "../../id.ts";
import type { Caller } from "../../keys/lookup.ts";
import { publicOrigin } from "../../origin.ts";
import {
  OPENAI_FORM_NAMES,
  OPENAI_NAMES,
  type ReferenceEntry,
  type ReferenceNames,
} from "../../references/entries.ts";
import type { StoredReference } from "../../references/store.ts";
import type { TestScenario } from "../../scenario.ts";
import { createApp } from "../app.ts";
import { callerOf } from "../authenticate.ts";
import { mediaType, parse, unsupportedMediaType } from "../body.ts";
import { type Answer, contract, GENERATION_HEADERS, json } from "../contract.ts";
import { cors } from "../cors.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest } from "../errors.ts";
import { MULTIPART_LIMITS } from "../multipart.ts";
import { OPENAI_BASE } from "../paths.ts";
import { accepted, asEntry, listedReferences, receiveDataUrls, receiveReferences } from "../references.ts";
import {
  declaredBytes,
  readIdempotencyKey,
  readTestScenario,
  refuse,
  refuseOutcome,
  setGenerationHeaders,
} from "../submission.ts";
import { sendStream, sendWhole } from "./answer.ts";
import { PartialInbox } from "./partials.ts";
import {
  BASE64_EXAMPLE,
  eventExample,
  IMAGES_EXAMPLE,
  OpenAIImageEvent,
  OpenAIImages,
  OpenAIModel,
  OpenAIModelList,
  type Operation,
  renderModel,
} from "./render.ts";
import {
  CreateImageBody,
  EditImageBody,
  fromForm,
  ImageFields,
  imagesOf,
  REFERENCES_MAX,
  REFUSED_FILES,
  refuseUnsupported,
  toInput,
} from "./schemas.ts";

/** OpenAI's image API: the same operations as the native API, in OpenAI's format. */
export const openai = createApp();

openai.use(`${OPENAI_BASE}/*`, cors);

const modelExample = renderModel(models[0]);

openai.get(
  `${OPENAI_BASE}/models`,
  contract({
    id: "openaiListModels",
    summary: "List models, in OpenAI's dialect",
    tag: "openai",
    security: "apiKey",
    scope: null,
    answers: { 200: json("All models.", OpenAIModelList, { object: "list", data: [modelExample] }) },
  }),
  (c) => c.json({ object: "list", data: offeredModels(readConfig(c.env)).map(renderModel) }),
);

openai.get(
  `${OPENAI_BASE}/models/:id`,
  contract({
    id: "openaiGetModel",
    summary: "Retrieve a model, in OpenAI's dialect",
    tag: "openai",
    security: "apiKey",
    scope: null,
    answers: { 200: json("The model.", OpenAIModel, modelExample) },
  }),
  (c) => c.json(renderModel(mustFindModel(c.req.param("id"), readConfig(c.env)))),
);

const imagesAnswer = (operation: Operation): Answer => ({
  ...json("The images, in base64 or as URLs.", OpenAIImages, IMAGES_EXAMPLE, [
    "X-Generation-Id",
    ...GENERATION_HEADERS,
  ]),
  event: { schema: OpenAIImageEvent, example: eventExample(operation) },
});

openai.post(
  `${OPENAI_BASE}/images/generations`,
  contract({
    id: "openaiCreateImage",
    summary: "Generate images, in OpenAI's dialect",
    description:
      "With `stream: true` the answer is server-sent events: one `image_generation.completed` for each image. With `partial_images`, up to that many `image_generation.partial_image` come before it.",
    tag: "openai",
    security: "apiKey",
    headers: ["Idempotency-Key", "X-Stainless-Retry-Count", "X-Test-Scenario"],
    body: {
      schema: CreateImageBody,
      example: { model: "gpt-image-2", prompt: "A lighthouse at dusk", size: "1024x1024" },
    },
    answers: { 200: imagesAnswer("image_generation") },
    errors: [402, 404, 409],
  }),
  async (c) =>
    await answer(c, openCall(c), "image_generation", {
      fields: c.req.valid("json"),
      ...{ references: [], names: OPENAI_NAMES, uploadId: null },
    }),
);

openai.post(
  `${OPENAI_BASE}/images/edits`,
  contract({
    id: "openaiEditImage",
    summary: "Edit images, in OpenAI's dialect",
    description:
      "A form with files, or JSON with data URLs in base64 or https URLs: up to 16 images of 50 MB each. With `stream: true` the answer is server-sent events: one `image_edit.completed` for each image. With `partial_images`, up to that many `image_edit.partial_image` come before it.",
    tag: "openai",
    security: "apiKey",
    headers: ["Idempotency-Key", "X-Stainless-Retry-Count", "X-Test-Scenario"],
    body: {
      schema: EditImageBody,
      example: {
        model: "gpt-image-2",
        prompt: "The same lighthouse in a storm",
        images: [{ image_url: `data:image/png;base64,${BASE64_EXAMPLE}` }],
      },
      files: { field: "image", required: true },
      dataUrls: true,
    },
    answers: { 200: imagesAnswer("image_edit") },
    errors: [402, 404, 409],
  }),
  async (c) => {
    const call = openCall(c);
    const { caller, config, idempotencyKey, sdk } = call;
    // Checks credits before hundreds of megabytes are uploaded.
    const uploadId = newId("upload");
    const { livemode } = caller;
    const upload = { id: uploadId, bodyBytes: declaredBytes(c), idempotencyKey, sdk, livemode, key: caller };
    const admission = await admitUpload(caller.userId, upload, c.env, config);
    if (admission.kind !== "admitted") throw refuse(c, admission);
    return await answer(c, call, "image_edit", await receiveEdit(c, caller.userId, config, uploadId));
  },
);

/** The facts of a request that are known before its body is read. */
type Call = {
  caller: Caller;
  config: Config;
  idempotencyKey: string | null;
  /** Null where no SDK makes the call. */
  sdk: SdkHeaders | null;
  /** The scenario of a test key; null for a live key. */
  test: TestScenario | null;
};

function openCall(c: Context<AppEnv>): Call {
  const caller = callerOf(c);
  const config = readConfig(c.env);
  const retries = c.req.header("X-Stainless-Retry-Count");
  const count = Number(/^\d{1,3}$/.exec(retries ?? "")?.[0] ?? 0);
  const sdk = retries === undefined ? null : { keyId: caller.keyId, count, bodyBytes: declaredBytes(c) };
  return { caller, config, idempotencyKey: readIdempotencyKey(c), sdk, test: readTestScenario(c) };
}

type Received = {
  fields: ImageFields;
  references: readonly ReferenceEntry[];
  names: ReferenceNames;
  uploadId: string | null;
};

async function receiveEdit(
  c: Context<AppEnv>,
  userId: string,
  config: Config,
  id: string,
): Promise<Received> {
  let stored: StoredReference[] = [];
  try {
    switch (mediaType(c.req.raw)) {
      case "multipart/form-data": {
        const files = { name: "image", refused: REFUSED_FILES };
        const form = accepted(
          await receiveReferences(c.req.raw, c.env.REFERENCES, id, REFERENCES_MAX, MULTIPART_LIMITS, files),
        );
        stored = form.references;
        const value = fromForm(form.fields);
        refuseUnsupported(value);
        const fields = parse(ImageFields, value);
        if (stored.length === 0) throw invalidRequest("image is required.", "image");
        return { fields, references: stored.map(asEntry), names: OPENAI_FORM_NAMES, uploadId: id };
      }
      case "application/json": {
        const body = accepted(
          await receiveDataUrls(c.req.raw, c.env.REFERENCES, id, REFERENCES_MAX, OPENAI_NAMES),
        );
        stored = body.references;
        refuseUnsupported(body.value);
        const references = listedReferences(imagesOf(body.value), stored, OPENAI_NAMES, config);
        const { images: _, ...fields } = parse(EditImageBody, body.value);
        return { fields, references, names: OPENAI_NAMES, uploadId: id };
      }
      default:
        throw unsupportedMediaType(
          "multipart/form-data, or application/json with images as data URLs or https URLs",
        );
    }
  } catch (error) {
    await giveUpUpload(userId, id, stored, c.env);
    throw error;
  }
}

async function answer(
  c: Context<AppEnv>,
  call: Call,
  operation: Operation,
  received: Received,
): Promise<Response> {
  const { fields } = received;
  // Created after the body has arrived: ids sort by age, and a body may take minutes.
  const id = newId("gen");
  const inbox = new PartialInbox();
  const count = fields.stream ? (fields.partial_images ?? 0) : 0;
  const show = (picture: PartialPicture) => inbox.show(picture);
  const partials = count > 0 ? { count, show } : undefined;
  const work = make(c, call, id, received, partials).then((outcome) => endedOf(c, outcome, id));
  const delivered = async (generation: GenerationRecord) => {
    if (call.sdk !== null) await reportDelivered(call.caller.userId, generation.id, c.env);
  };
  if (!fields.stream) return await sendWhole(c, await work, fields, delivered);
  // The work continues when the reader has left.
  work.catch(() => null);
  const mayJoin = (call.sdk?.count ?? 0) > 0 || call.idempotencyKey !== null;
  return await sendStream(c, work, operation, fields, mayJoin ? null : id, delivered, inbox);
}

async function make(
  c: Context<AppEnv>,
  { caller, config, idempotencyKey, sdk, test }: Call,
  id: string,
  { fields, references, names, uploadId }: Received,
  partials: PartialsAsked | undefined,
): Promise<Submitted> {
  let submission: Submission;
  try {
    const input = toInput(fields);
    mustFindModel(input.model, config);
    submission = {
      ...{ id, input, mode: "sync", idempotencyKey, sdk },
      ...{ userId: caller.userId, key: caller, origin: publicOrigin(config, c.req.url) },
      ...{ references, names, uploadId, test, partials },
    };
  } catch (error) {
    const stored = references.flatMap((entry) => (entry.kind === "stored" ? [entry.reference] : []));
    await giveUpUpload(caller.userId, uploadId, stored, c.env);
    throw error;
  }
  return await submit(submission, c.env, config);
}

/** The generation with its images. @throws {ApiError} for every other outcome */
function endedOf(c: Context<AppEnv>, outcome: Submitted, id: string): GenerationRecord {
  switch (outcome.kind) {
    case "ended": {
      const { generation, replayed, quota } = outcome;
      setGenerationHeaders(c, generation, replayed, quota);
      const extra = { generation_id: generation.id };
      if (generation.status === "canceled") throw new ApiError("conflict", CANCELED, { extra });
      if (generation.error === null) return generation;
      const { error, permanent = false } = generation;
      throw new ApiError(error, FAILURE_MESSAGES[error], { extra, permanent });
    }
    case "pending": {
      setGenerationHeaders(c, outcome.generation, outcome.replayed, outcome.quota);
      const extra = { generation_id: outcome.generation.id };
      throw new ApiError("internalError", STILL_RUNNING, { extra });
    }
    default:
      throw refuseOutcome(c, outcome, id);
  }
}

const CANCELED = "The generation of this idempotency key was canceled. The credits were returned.";

const STILL_RUNNING =
  "The images are still being made. A retry by the SDK waits for them; GET /api/v1/generations/:id tells of them too.";

function mustFindModel(id: string, config: Config): Model {
  const model = findOffered(id, config);
  if (model) return model;
  const known = offeredModels(config)
    .map((other) => other.id)
    .join(" or ");
  throw new ApiError("notFound", `There is no such model here: use ${known}.`, { param: "model" });
}
