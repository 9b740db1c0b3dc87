import type { Context } from "hono";
import { Hono } from "hono";
import type { GenerationRequest } from "../../account/lifecycle.ts";
import { findModel, models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { loggedGenerationQuery, readGeneration } from "../../generations/read.ts";
import { admit, type Submission, type Submitted, submit } from "../../generations/submit.ts";
import { isGenerationId, newId } from "../../id.ts";
import { removeReferences } from "../../images/references.ts";
import { type Caller, lookUpKeyAnd } from "../../keys/lookup.ts";
import { describe, log } from "../../log.ts";
import { authenticate, authenticateAnd } from "../authenticate.ts";
import { mediaType, parse, readJson, unsupportedMediaType } from "../body.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, FAILURE_MESSAGES, invalidRequest, notFound, unavailable } from "../errors.ts";
import { receiveReferences } from "../references.ts";
import { pollUrl, renderBalance, renderGeneration } from "./render.ts";
import { fromForm, GenerationBody } from "./schemas.ts";

/** When a caller who polls should look (again). */
const POLL_AFTER_SECONDS = "2";

export const generations = new Hono<AppEnv>();

generations.post("/images/generations", async (c) => {
  const caller = await authenticate(c);
  const config = readConfig(c.env);
  const id = newId("gen");
  const { body, references } = await readSubmission(c, caller, id, config);
  let accepted = false;
  try {
    const submission = await toSubmission(c, caller, config, body, references);
    const outcome = await submit(id, caller.userId, submission, c.env, config);
    accepted = outcome.kind === "ended" || outcome.kind === "pending" || outcome.kind === "unknown";
    if (accepted) c.set("generationId", id);
    return answer(c, outcome, id, caller, config);
  } finally {
    if (!accepted) await discard(c, references);
  }
});

generations.get("/generations/:id", async (c) => {
  const id = c.req.param("id");
  const { caller, rows } = await authenticateAnd(c, (hash, now) =>
    lookUpKeyAnd(c.env.DB, hash, now, (db) => loggedGenerationQuery(db, hash, id)),
  );
  const record = isGenerationId(id) ? await readGeneration(rows, caller.userId, id, c.env) : null;
  if (!record) throw notFound();
  c.set("generationId", record.id);
  if (record.endedAt === null) c.header("Retry-After", POLL_AFTER_SECONDS);
  return c.json(renderGeneration(record, readConfig(c.env)));
});

type Received = { body: GenerationBody; references: GenerationRequest["references"] };

/** The body, in either form it may have. The references of a form are stored by then, under the generation's id. */
async function readSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  id: string,
  config: Config,
): Promise<Received> {
  switch (mediaType(c.req.raw)) {
    case "application/json":
      return { body: await readJson(c, GenerationBody), references: [] };
    case "multipart/form-data": {
      // Nobody should have to upload 800 MB to learn that the credits do not suffice.
      const admission = await admit(caller.userId, c.env, config);
      if (admission.kind !== "admitted") throw refuse(admission);
      const referencesMax = Math.max(...models.map((model) => model.reference_image_limit));
      const form = await receiveReferences(c.req.raw, c.env.REFERENCES, id, referencesMax);
      if (form.kind === "refused") throw new ApiError(form.code, form.message, { param: form.param });
      try {
        return { body: parse(GenerationBody, fromForm(form.fields)), references: form.references };
      } catch (error) {
        await discard(c, form.references);
        throw error;
      }
    }
    default:
      throw unsupportedMediaType("application/json, or multipart/form-data with reference images");
  }
}

async function toSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  config: Config,
  body: GenerationBody,
  references: GenerationRequest["references"],
): Promise<Submission> {
  const model = findModel(body.model);
  if (!model) {
    throw invalidRequest(`model must be ${models.map(({ id }) => id).join(" or ")}.`, "model");
  }
  if (references.length > model.reference_image_limit) {
    const message = `reference_image may be given at most ${model.reference_image_limit} times for this model.`;
    throw invalidRequest(message, "reference_image");
  }
  return {
    model,
    prompt: body.prompt,
    size: body.size,
    quality: body.quality,
    aspect_ratio: body.aspect_ratio,
    resolution: body.resolution,
    n: body.n,
    async: body.async,
    outputFormat: body.output_format,
    outputCompression: body.output_compression ?? null,
    background: body.background,
    moderation: body.moderation,
    endUser: body.user === undefined ? null : await hashEndUser(caller.userId, body.user),
    references,
    origin: config.PUBLIC_BASE_URL ?? new URL(c.req.url).origin,
  };
}

/** The provider learns which requests are of one person, and neither who it is nor whose customer. */
async function hashEndUser(userId: string, user: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`${userId}\n${user}`));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function answer(
  c: Context<AppEnv>,
  outcome: Submitted,
  id: string,
  caller: Caller,
  config: Config,
): Response {
  switch (outcome.kind) {
    case "ended": {
      const { generation, balance } = outcome;
      if (generation.error !== null) {
        const extra = { generation_id: id };
        throw new ApiError(generation.error, FAILURE_MESSAGES[generation.error], { extra });
      }
      return c.json({
        ...renderGeneration(generation, config),
        balance: renderBalance(balance, caller.accountType),
      });
    }
    case "pending":
      c.header("Location", pollUrl(outcome.generation));
      c.header("Retry-After", POLL_AFTER_SECONDS);
      return c.json(renderGeneration(outcome.generation, config), 202);
    case "unknown": {
      const message =
        "Something went wrong on our side. Look the generation up by its id to see what became of it.";
      throw new ApiError("internalError", message, { extra: { generation_id: id } });
    }
    case "invalid":
    case "insufficient":
    case "unavailable":
      throw refuse(outcome);
  }
}

function refuse(outcome: Exclude<Submitted, { kind: "ended" | "pending" | "unknown" }>): ApiError {
  switch (outcome.kind) {
    case "invalid":
      return invalidRequest(outcome.message, outcome.param);
    case "insufficient": {
      const { required, available } = outcome;
      const message = `This takes ${required} credits and the account has ${available}.`;
      return new ApiError("insufficientCredits", message, { extra: { required, available } });
    }
    case "unavailable":
      return unavailable();
  }
}

/** The refusal at hand is what the caller must hear; what cannot be removed goes by the bucket's lifecycle rule. */
async function discard(c: Context<AppEnv>, references: GenerationRequest["references"]): Promise<void> {
  try {
    await removeReferences(c.env.REFERENCES, references);
  } catch (error) {
    log("discard_failed", { request_id: c.get("requestId"), error: describe(error) });
  }
}
