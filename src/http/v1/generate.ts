import type { Context } from "hono";
import { Hono } from "hono";
import type { GenerationRequest } from "../../account/lifecycle.ts";
import { models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { type Submission, type Submitted, submit } from "../../generations/submit.ts";
import { admitUpload } from "../../generations/uploads.ts";
import { newId } from "../../id.ts";
import type { Caller } from "../../keys/lookup.ts";
import { publicOrigin } from "../../origin.ts";
import { authenticate } from "../authenticate.ts";
import { mediaType, parse, readJson, unsupportedMediaType } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, FAILURE_MESSAGES } from "../errors.ts";
import { FILE_FIELD } from "../multipart.ts";
import { receiveReferences } from "../references.ts";
import {
  declaredBytes,
  giveUp,
  isUsed,
  readIdempotencyKey,
  refuse,
  refuseOutcome,
  tellAccepted,
} from "../submission.ts";
import { pollAfterSeconds, pollUrl, renderBalance, renderGeneration } from "./render.ts";
import { fromForm, GenerationBody } from "./schemas.ts";

export const generate = new Hono<AppEnv>();

generate.post("/images/generations", async (c) => {
  const caller = await authenticate(c);
  const config = readConfig(c.env);
  const idempotencyKey = readIdempotencyKey(c);
  const { body, references, uploadId } = await readSubmission(c, caller, idempotencyKey, config);
  const { async, response_format: _, reference_image: __, ...input } = body;
  // Made once the body is here: ids sort by age, and a body may be held open for minutes.
  const id = newId("gen");
  let used = false;
  try {
    const submission: Submission = {
      ...{ id, input, mode: async ? "async" : "sync", idempotencyKey, sdk: null },
      ...{ userId: caller.userId, keyId: caller.keyId, origin: publicOrigin(config, c.req.url) },
      ...{ references, referenceField: FILE_FIELD, uploadId },
    };
    const outcome = await submit(submission, c.env, config);
    used = isUsed(outcome);
    return answer(c, outcome, id, async, caller, config);
  } finally {
    if (!used) await giveUp(c, caller.userId, uploadId, references);
  }
});

type Received = {
  body: GenerationBody;
  references: GenerationRequest["references"];
  uploadId: string | null;
};

/** The body, in either form it may have. The references of a form are stored by then, under the upload's id. */
async function readSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  idempotencyKey: string | null,
  config: Config,
): Promise<Received> {
  switch (mediaType(c.req.raw)) {
    case "application/json":
      return { body: await readJson(c, GenerationBody), references: [], uploadId: null };
    case "multipart/form-data": {
      // Before 800 MB are uploaded that there are no credits for.
      const uploadId = newId("upload");
      const upload = { id: uploadId, bodyBytes: declaredBytes(c), idempotencyKey, sdk: null };
      const admission = await admitUpload(caller.userId, upload, c.env, config);
      if (admission.kind !== "admitted") throw refuse(c, admission);
      const referencesMax = Math.max(...models.map((model) => model.reference_image_limit));
      let references: GenerationRequest["references"] = [];
      try {
        const form = await receiveReferences(c.req.raw, c.env.REFERENCES, uploadId, referencesMax);
        if (form.kind === "refused") throw new ApiError(form.code, form.message, { param: form.param });
        references = form.references;
        return { body: parse(GenerationBody, fromForm(form.fields)), references, uploadId };
      } catch (error) {
        await giveUp(c, caller.userId, uploadId, references);
        throw error;
      }
    }
    default:
      throw unsupportedMediaType("application/json, or multipart/form-data with reference images");
  }
}

function answer(
  c: Context<AppEnv>,
  outcome: Submitted,
  id: string,
  async: boolean,
  caller: Caller,
  config: Config,
): Response {
  switch (outcome.kind) {
    case "ended": {
      const { generation, balance, replayed, quota } = outcome;
      tellAccepted(c, generation, replayed, quota);
      // Who asked not to wait asks what became of it: a failure is the state of what they get, as when they poll.
      if (generation.error !== null && !async) {
        const extra = { generation_id: generation.id };
        throw new ApiError(generation.error, FAILURE_MESSAGES[generation.error], { extra });
      }
      return c.json({
        ...renderGeneration(generation, config),
        balance: renderBalance(balance, caller.accountType),
      });
    }
    case "pending":
      tellAccepted(c, outcome.generation, outcome.replayed, outcome.quota);
      c.header("Location", pollUrl(outcome.generation));
      c.header("Retry-After", pollAfterSeconds(outcome.generation, Date.now()));
      return c.json(renderGeneration(outcome.generation, config), 202);
    default:
      throw refuseOutcome(c, outcome, id);
  }
}
