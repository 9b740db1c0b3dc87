import { type Context, Hono } from "hono";
import * as z from "zod";
import { UPLOADED_BYTES_MAX, UPLOADED_REFERENCES_MAX } from "../../account/references.ts";
import type { UploadedReference } from "../../account/store/references.ts";
import { readConfig } from "../../config.ts";
import { lowestPrice } from "../../generations/models.ts";
import { endUpload } from "../../generations/uploads.ts";
import { isReferenceId, newId } from "../../id.ts";
import {
  type AheadRefusal,
  admitReference,
  deleteReference,
  keepReference,
  newUpload,
} from "../../references/ahead.ts";
import {
  discardReferences,
  REFERENCE_BYTES_MAX,
  type StoredReference,
  storeReference,
  tooLarge,
} from "../../references/store.ts";
import { isEncoded } from "../../text.ts";
import { callerOf } from "../authenticate.ts";
import { ENCODED_MESSAGE, ENCODED_PARAM, mediaType } from "../body.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, invalidRequest, notFound, unavailable } from "../errors.ts";
import { count, idOf, isoTime, livemodeField, named, time } from "../fields.ts";
import { RETRY_AFTER_SECONDS_MAX } from "../limits.ts";
import { MULTIPART_LIMITS, readMultipart } from "../multipart.ts";
import { accepted } from "../references.ts";
import { chunksOf } from "../stream.ts";
import { declaredBytes } from "../submission.ts";

/** References that are uploaded ahead of the generations that use them. */
export const references = new Hono<AppEnv>();

const Reference = named("Reference", () =>
  z.strictObject({
    id: idOf("ref"),
    object: z.literal("reference"),
    livemode: livemodeField,
    content_type: z.enum(["image/png", "image/jpeg", "image/webp"]),
    bytes: count.meta({ description: "The size of the file." }),
    width: count.meta({ description: "In pixels." }),
    height: count.meta({ description: "In pixels." }),
    expires_at: time.meta({ description: "The time until which requests can list it." }),
  }),
);

references.post(
  "/references",
  contract({
    id: "uploadReference",
    summary: "Upload a reference image",
    description:
      "One PNG, JPEG or WebP of at most 50 MB, as the body or as the file of a form. For 24 hours any number of requests can list its id in `reference_images`. It is private and never served.",
    tag: "references",
    security: "apiKey",
    image: true,
    answers: {
      201: json("The reference.", Reference, {
        id: "ref_01K9ZJ4T6XQ8R2M5N7P3V1W0YB",
        object: "reference",
        livemode: true,
        content_type: "image/png",
        bytes: 1234567,
        width: 1024,
        height: 1024,
        expires_at: "2026-05-01T08:00:00.000Z",
      }),
    },
    errors: [402, 409],
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const uploadId = newId("upload");
    const required = livemode ? lowestPrice(readConfig(c.env)) : 0;
    const admission = await admitReference(
      { userId, uploadId, required, bytes: declaredBytes(c) ?? 0, livemode },
      c.env,
    );
    if (admission.kind !== "admitted") throw refuseAhead(admission);
    try {
      const upload = newUpload(userId);
      const stored = await receive(c, upload.key);
      const kept = await keepReference(userId, upload, stored, livemode, c.env);
      if (kept.kind !== "kept") throw refuseAhead(kept);
      return c.json(renderReference(kept.reference), 201);
    } finally {
      await endUpload(userId, uploadId, c.env);
    }
  },
);

references.delete(
  "/references/:id",
  contract({
    id: "deleteReference",
    summary: "Delete a reference image",
    description: "No request can list it any more. Generations that were accepted before still use it.",
    tag: "references",
    security: "apiKey",
    answers: { 204: { description: "The reference is deleted.", schema: null } },
  }),
  async (c) => {
    const { userId, livemode } = callerOf(c);
    const id = c.req.param("id");
    if (!isReferenceId(id)) throw notFound();
    const outcome = await deleteReference(userId, id, livemode, c.env);
    switch (outcome) {
      case "deleted":
        return c.body(null, 204);
      case "unknown":
        throw notFound();
      case "unavailable":
        throw unavailable();
    }
  },
);

function renderReference(reference: UploadedReference) {
  const { id, livemode, contentType, bytes, width, height, expiresAt } = reference;
  return {
    id,
    object: "reference" as const,
    livemode,
    content_type: contentType,
    bytes,
    width,
    height,
    expires_at: isoTime(expiresAt),
  };
}

/** Streams the one image of the body into storage. @throws {ApiError} and leaves nothing, when there is none */
async function receive(c: Context<AppEnv>, key: string): Promise<StoredReference> {
  if (mediaType(c.req.raw) === "multipart/form-data") return await receiveForm(c, key);
  const { raw } = c.req;
  if (isEncoded(raw)) throw new ApiError("unsupportedMediaType", ENCODED_MESSAGE, { param: ENCODED_PARAM });
  if (raw.body === null) throw invalidRequest("The body is empty: send the image as the body, or in a form.");
  const declared = declaredBytes(c) ?? 0;
  if (declared > REFERENCE_BYTES_MAX) throw invalidRequest(`The image ${tooLarge(REFERENCE_BYTES_MAX)}.`);
  const outcome = await storeReference(c.env.REFERENCES, key, chunksOf(raw.body, MULTIPART_LIMITS));
  if (outcome.kind === "refused") throw invalidRequest(`The image ${outcome.reason}.`);
  return outcome.reference;
}

/** The name that error messages have for the file; it may be sent in a field of any name. */
const FILE_FIELD = "file";

async function receiveForm(c: Context<AppEnv>, key: string): Promise<StoredReference> {
  const stored: StoredReference[] = [];
  try {
    const outcome = await readMultipart(
      c.req.raw,
      { ...MULTIPART_LIMITS, filesMax: 1 },
      async ({ content }) => {
        const file = await storeReference(c.env.REFERENCES, key, content);
        if (file.kind === "refused") return `${file.reason}.`;
        stored.push(file.reference);
        return null;
      },
      { name: FILE_FIELD, isAnyField: true, refused: new Map() },
    );
    const [field] = accepted(outcome).fields.keys();
    if (field !== undefined) throw invalidRequest(`${field} is not a field of this request.`, field);
    const [reference] = stored;
    if (reference === undefined) throw invalidRequest(`${FILE_FIELD} is required.`, FILE_FIELD);
    return reference;
  } catch (error) {
    await discardReferences(c.env.REFERENCES, stored);
    throw error;
  }
}

function refuseAhead(refusal: AheadRefusal): ApiError {
  switch (refusal.kind) {
    case "insufficient": {
      const { required, available } = refusal;
      const message = `A reference needs an account with the credits for a generation: ${required}. This one has ${available}.`;
      return new ApiError("insufficientCredits", message, { extra: { required, available } });
    }
    case "uploads_limited":
      return new ApiError("rateLimited", "Too many uploads at once, or too many within a minute.", {
        headers: { "Retry-After": String(Math.min(refusal.retryAfterSeconds, RETRY_AFTER_SECONDS_MAX)) },
      });
    case "references_full": {
      const gigabytes = UPLOADED_BYTES_MAX / 1024 ** 3;
      const message = `An account can hold ${UPLOADED_REFERENCES_MAX} uploaded references, of ${gigabytes} GB together. Delete some, or wait until they expire.`;
      return new ApiError("conflict", message);
    }
    case "unavailable":
      return unavailable();
  }
}
