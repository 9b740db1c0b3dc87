import { type Context, Hono } from "hono";
import * as z from "zod";
import type { GenerationRecord } from "../../account/record.ts";
import { findModel, models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { admit, type Submitted, submit } from "../../generations/submit.ts";
import { newId } from "../../id.ts";
import type { Caller } from "../../keys/lookup.ts";
import { authenticate } from "../authenticate.ts";
import { mediaType, parse, readJson, unsupportedMediaType } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, FAILURE_MESSAGES, invalidRequest } from "../errors.ts";
import { MULTIPART_LIMITS, type MultipartRefusal } from "../multipart.ts";
import { isRefusal, receiveDataUrls, receiveReferences, type StoredReference } from "../references.ts";
import {
  discard,
  isUsed,
  readIdempotencyKey,
  refuse,
  refuseOutcome,
  tellAccepted,
  toSubmission,
} from "../submission.ts";
import { sendStream, sendWhole } from "./answer.ts";
import { renderOpenAIError } from "./errors.ts";
import { type Operation, renderModel } from "./render.ts";
import {
  CreateImageBody,
  EditImageBody,
  fromForm,
  type ImageFields,
  REFUSED_FILES,
  refuseOtherImages,
  refuseUnsupported,
  toGenerationBody,
} from "./schemas.ts";

/** OpenAI's image API: the same work as the native one, in another dialect. */
export const openai = new Hono<AppEnv>();

openai.onError(renderOpenAIError);

openai.get("/models", async (c) => {
  await authenticate(c);
  return c.json({ object: "list", data: models.map(renderModel) });
});

openai.get("/models/:id", async (c) => {
  await authenticate(c);
  return c.json(renderModel(mustFindModel(c.req.param("id"))));
});

openai.post("/images/generations", async (c) => {
  const call = await open(c);
  const value = await readJson(c, z.unknown());
  refuseUnsupported(value);
  return await answer(c, call, "image_generation", { fields: parse(CreateImageBody, value), references: [] });
});

openai.post("/images/edits", async (c) => {
  const call = await open(c);
  // Nobody should have to upload hundreds of megabytes to learn that the credits do not suffice.
  const admission = await admit(call.caller.userId, call.idempotencyKey, c.env, call.config, call.retries);
  if (admission.kind !== "admitted") throw refuse(c, admission);
  return await answer(c, call, "image_edit", await receiveEdit(c, call.id));
});

/** What is known of a request before its body is read. `retries` is how often its SDK has tried before. */
type Call = {
  caller: Caller;
  config: Config;
  id: string;
  idempotencyKey: string | null;
  retries: number;
};

async function open(c: Context<AppEnv>): Promise<Call> {
  const caller = await authenticate(c);
  const config = readConfig(c.env);
  const retries = Number(/^\d{1,3}$/.exec(c.req.header("X-Stainless-Retry-Count") ?? "")?.[0] ?? 0);
  return { caller, config, id: newId("gen"), idempotencyKey: readIdempotencyKey(c), retries };
}

type Received = { fields: ImageFields; references: StoredReference[] };

async function receiveEdit(c: Context<AppEnv>, id: string): Promise<Received> {
  switch (mediaType(c.req.raw)) {
    case "multipart/form-data": {
      const files = { name: "image", refused: REFUSED_FILES };
      const form = accepted(
        await receiveReferences(c.req.raw, c.env.REFERENCES, id, REFERENCES_MAX, MULTIPART_LIMITS, files),
      );
      return await orDiscard(c, form.references, () => {
        const value = fromForm(form.fields);
        refuseUnsupported(value);
        const fields = parse(CreateImageBody, value);
        if (form.references.length === 0) throw invalidRequest("image is required.", "image");
        return { fields, references: form.references };
      });
    }
    case "application/json": {
      const body = accepted(await receiveDataUrls(c.req.raw, c.env.REFERENCES, id, REFERENCES_MAX));
      return await orDiscard(c, body.references, () => {
        refuseUnsupported(body.value);
        refuseOtherImages(body.value, body.references.length);
        const { images: _, ...fields } = parse(EditImageBody, body.value);
        return { fields, references: body.references };
      });
    }
    default:
      throw unsupportedMediaType("multipart/form-data, or application/json with images as data URLs");
  }
}

const REFERENCES_MAX = Math.max(...models.map((model) => model.reference_image_limit));

function accepted<Body extends { kind: string }>(body: Body | MultipartRefusal): Body {
  if (isRefusal(body)) throw new ApiError(body.code, body.message, { param: body.param });
  return body;
}

async function orDiscard<T>(c: Context<AppEnv>, references: StoredReference[], work: () => T): Promise<T> {
  try {
    return work();
  } catch (error) {
    await discard(c, references);
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
  const work = make(c, call, received).then((outcome) => endedOf(c, outcome, call.id));
  if (!fields.stream) return await sendWhole(c, await work, fields);
  // A stream that its reader has left hears no more of the work, which goes on.
  work.catch(() => null);
  const mayJoin = call.retries > 0 || call.idempotencyKey !== null;
  return await sendStream(c, work, operation, fields, mayJoin ? null : call.id);
}

async function make(c: Context<AppEnv>, call: Call, { fields, references }: Received): Promise<Submitted> {
  const { caller, config, id, idempotencyKey, retries } = call;
  let used = false;
  try {
    const body = toGenerationBody(fields);
    mustFindModel(body.model);
    const isSdk = c.req.header("X-Stainless-Retry-Count") !== undefined;
    const submission = await toSubmission(c, caller, config, body, {
      references,
      referenceField: "image",
      idempotencyKey,
      sdk: isSdk ? { keyId: caller.keyId, count: retries } : null,
    });
    const outcome = await submit(id, caller.userId, submission, c.env, config);
    used = isUsed(outcome);
    return outcome;
  } finally {
    if (!used) await discard(c, references);
  }
}

/** The generation that has images to show. @throws {ApiError} for every other outcome */
function endedOf(c: Context<AppEnv>, outcome: Submitted, id: string): GenerationRecord {
  switch (outcome.kind) {
    case "ended": {
      const { generation, replayed, quota } = outcome;
      tellAccepted(c, generation, replayed, quota);
      if (generation.error === null) return generation;
      const extra = { generation_id: generation.id };
      const { error, permanent = false } = generation;
      throw new ApiError(error, FAILURE_MESSAGES[error], { extra, permanent });
    }
    case "pending": {
      tellAccepted(c, outcome.generation, outcome.replayed, outcome.quota);
      const extra = { generation_id: outcome.generation.id };
      throw new ApiError("internalError", STILL_RUNNING, { extra });
    }
    default:
      throw refuseOutcome(c, outcome, id);
  }
}

const STILL_RUNNING =
  "The images are still being made. A retry by the SDK waits for them; GET /api/v1/generations/:id tells of them too.";

function mustFindModel(id: string) {
  const model = findModel(id);
  if (model) return model;
  const known = models.map((other) => other.id).join(" or ");
  throw new ApiError("notFound", `There is no such model here: use ${known}.`, { param: "model" });
}
