import type { Context } from "hono";
import { Hono } from "hono";
import * as z from "zod";
import { FAILURE_MESSAGES, pollUrl, renderGeneration } from "../../account/render.ts";
import { findModel, models } from "../../catalogue/models.ts";
import { type Config, readConfig } from "../../config.ts";
import { GenerationInput } from "../../generations/input.ts";
import { type Submission, type Submitted, submit } from "../../generations/submit.ts";
import { admitUpload, giveUpUpload } from "../../generations/uploads.ts";
import { newId } from "../../id.ts";
import type { Caller } from "../../keys/lookup.ts";
import { publicOrigin } from "../../origin.ts";
import {
  FORM_NAMES,
  JSON_NAMES,
  type ReferenceEntry,
  type ReferenceNames,
} from "../../references/entries.ts";
import type { StoredReference } from "../../references/store.ts";
import { callerOf } from "../authenticate.ts";
import { mediaType, parse, unsupportedMediaType } from "../body.ts";
import { contract, GENERATION_HEADERS, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest } from "../errors.ts";
import { named } from "../fields.ts";
import { parseJson } from "../json.ts";
import { type Preferences, readPreferences, setPreferenceApplied } from "../prefer.ts";
import { accepted, asEntry, listedReferences, receiveDataUrls, receiveReferences } from "../references.ts";
import {
  declaredBytes,
  readIdempotencyKey,
  readTestScenario,
  refuse,
  refuseOutcome,
  setGenerationHeaders,
} from "../submission.ts";
import { BALANCE_EXAMPLE, balanceFields, renderBalance } from "./credits.ts";
import { Generation, pollAfterSeconds, QUEUED_EXAMPLE, SUCCEEDED_EXAMPLE } from "./generations.ts";

export const REFERENCES_MAX = Math.max(...models.map((model) => model.reference_image_limit));

/** The longest wait that `Prefer` may ask for, if the configuration allows it. */
const WAIT_SECONDS_MAX = 800;

/** The body of POST /api/v1/images/generations. */
export const GenerationBody = GenerationInput.extend({
  async: z
    .boolean()
    .default(false)
    .meta({ description: "Answer at once with a queued generation, instead of waiting for its images." }),
  response_format: z
    .string()
    .optional()
    .meta({ description: "Accepted from clients that send it, and ignored: every image has a `url`." }),
  /** In a form it is a file, which is removed before the fields are parsed. */
  reference_image: z
    .custom<never>(() => false, {
      message: "reference_image is a file: send the request as multipart/form-data.",
    })
    .optional(),
  /** In JSON only: see `readEntries`. */
  reference_images: z.array(z.string()).optional().meta({
    description:
      "Reference images, each as the id of an uploaded reference, an https URL, or a data URL in base64.",
    maxItems: REFERENCES_MAX,
  }),
}).superRefine(checkCompression);

/** A rule across fields: PNG has no compression level. */
export function checkCompression(body: GenerationInput, context: z.RefinementCtx): void {
  const model = findModel(body.model);
  const format = body.output_format ?? model?.supported_output_formats[0];
  if (body.output_compression !== undefined && format === "png" && model?.hasCompression) {
    const message = "output_compression is for output_format jpeg and webp only.";
    context.addIssue({ code: "custom", path: ["output_compression"], message });
  }
}

type GenerationBody = z.infer<typeof GenerationBody>;

const GenerationWithBalance = named("GenerationWithBalance", () =>
  Generation.unwrap().extend({ balance: z.strictObject(balanceFields()) }),
);

export const generate = new Hono<AppEnv>();

generate.post(
  "/images/generations",
  contract({
    id: "createGeneration",
    summary: "Generate images",
    description:
      "Charges the price, generates the images and waits for them; with `async: true` it answers at once, and with `Prefer: wait=N` after N seconds. What is not delivered is refunded.",
    tag: "generations",
    security: "apiKey",
    headers: ["Idempotency-Key", "Prefer", "X-Test-Scenario"],
    body: {
      schema: GenerationBody,
      example: { model: "gpt-image-2", prompt: "A lighthouse at dusk", size: "1024x1024", n: 1 },
      files: { field: FORM_NAMES.field, required: false },
      dataUrls: true,
    },
    answers: {
      200: json(
        "The generation, after it has ended.",
        GenerationWithBalance,
        { ...SUCCEEDED_EXAMPLE, balance: BALANCE_EXAMPLE },
        [...GENERATION_HEADERS, "Preference-Applied"],
      ),
      202: json("The generation, which has not ended yet.", Generation, QUEUED_EXAMPLE, [
        "Location",
        "Retry-After",
        ...GENERATION_HEADERS,
        "Preference-Applied",
      ]),
    },
    errors: [402, 409],
  }),
  async (c) => {
    const caller = callerOf(c);
    const config = readConfig(c.env);
    const idempotencyKey = readIdempotencyKey(c);
    const { body, references, names, uploadId } = await readSubmission(c, caller, idempotencyKey, config);
    const { async, response_format: _, reference_image: __, reference_images: ___, ...input } = body;
    const preferences = readPreferences(c, Math.min(WAIT_SECONDS_MAX, config.SYNC_WAIT_SECONDS));
    const { respondAsync, waitSeconds } = preferences;
    const isAsync = async || respondAsync;
    // Created after the body has arrived: ids sort by age, and a body may take minutes.
    const id = newId("gen");
    const submission: Submission = {
      ...{ id, input, idempotencyKey, sdk: null },
      // A call that waits for a limited time may end as an async one, so it is one from the start.
      ...{ mode: isAsync || waitSeconds !== null ? "async" : "sync", waitSeconds: waitSeconds ?? 0 },
      ...{ userId: caller.userId, key: caller, origin: publicOrigin(config, c.req.url) },
      ...{ references, names, uploadId, test: readTestScenario(c) },
    };
    const outcome = await submit(submission, c.env, config);
    return answer(c, outcome, id, isAsync, preferences, caller, config);
  },
);

type Received = {
  body: GenerationBody;
  references: readonly ReferenceEntry[];
  names: ReferenceNames;
  /** The upload that brought references with the body, or null. */
  uploadId: string | null;
};

const FILES_ONLY = "reference_images is for JSON bodies: a form sends files, as reference_image.";

/** The body, as JSON or as a form. References in it have been stored by then, under the upload's id. */
async function readSubmission(
  c: Context<AppEnv>,
  caller: Caller,
  idempotencyKey: string | null,
  config: Config,
): Promise<Received> {
  const { userId, livemode } = caller;
  const id = newId("upload");
  let uploadId: string | null = null;
  // Checks credits before 800 MB are uploaded.
  const admit = async () => {
    const upload = { id, bodyBytes: declaredBytes(c), idempotencyKey, sdk: null, livemode, key: caller };
    const admission = await admitUpload(userId, upload, c.env, config);
    if (admission.kind !== "admitted") throw refuse(c, admission);
    uploadId = id;
  };
  let stored: StoredReference[] = [];
  try {
    switch (mediaType(c.req.raw)) {
      case "application/json": {
        const json = await receiveDataUrls(
          c.req.raw,
          c.env.REFERENCES,
          id,
          REFERENCES_MAX,
          JSON_NAMES,
          admit,
        );
        const { value, references } = accepted(json);
        stored = references;
        const body = parse(GenerationBody, value);
        const entries = listedReferences(body.reference_images ?? [], stored, JSON_NAMES, config);
        return { body, references: entries, names: JSON_NAMES, uploadId };
      }
      case "multipart/form-data": {
        await admit();
        const form = accepted(await receiveReferences(c.req.raw, c.env.REFERENCES, id, REFERENCES_MAX));
        stored = form.references;
        if (form.fields.has(JSON_NAMES.field)) throw invalidRequest(FILES_ONLY, JSON_NAMES.field);
        const body = parse(GenerationBody, fromForm(form.fields));
        return { body, references: stored.map(asEntry), names: FORM_NAMES, uploadId };
      }
      default:
        throw unsupportedMediaType("application/json, or multipart/form-data with reference images");
    }
  } catch (error) {
    await giveUpUpload(userId, uploadId, stored, c.env);
    throw error;
  }
}

/** The text fields of a form, converted to JSON values. The schema refuses a text that cannot be converted. */
function fromForm(fields: ReadonlyMap<string, string>): Record<string, unknown> {
  return Object.fromEntries([...fields].map(([name, text]) => [name, fromText(name, text)]));
}

function fromText(name: string, text: string): unknown {
  switch (name) {
    case "n":
    case "output_compression":
    case "max_credits":
      return /^\d{1,9}$/.test(text) ? Number(text) : text;
    case "metadata": {
      const json = parseJson(text);
      return json.kind === "json" ? json.value : text;
    }
    case "async":
      return text === "true" ? true : text === "false" ? false : text;
    default:
      return text;
  }
}

function answer(
  c: Context<AppEnv>,
  outcome: Submitted,
  id: string,
  isAsync: boolean,
  preferences: Preferences,
  caller: Caller,
  config: Config,
): Response {
  switch (outcome.kind) {
    case "ended": {
      const { generation, balance, replayed, quota } = outcome;
      setGenerationHeaders(c, generation, replayed, quota);
      setPreferenceApplied(c, preferences);
      // An async request that waited gets the state of the generation, as when it polls: a failure is no error.
      if (generation.error !== null && !isAsync) {
        const extra = { generation_id: generation.id };
        throw new ApiError(generation.error, FAILURE_MESSAGES[generation.error], { extra });
      }
      return c.json({
        ...renderGeneration(generation, config),
        balance: renderBalance(balance, caller.accountType),
      });
    }
    case "pending":
      setGenerationHeaders(c, outcome.generation, outcome.replayed, outcome.quota);
      setPreferenceApplied(c, preferences);
      c.header("Location", pollUrl(outcome.generation));
      c.header("Retry-After", pollAfterSeconds(outcome.generation, Date.now()));
      return c.json(renderGeneration(outcome.generation, config), 202);
    default:
      throw refuseOutcome(c, outcome, id);
  }
}
