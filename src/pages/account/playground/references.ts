import { Hono } from "hono";
import { readConfig } from "../../../config.ts";
import { lowestPrice } from "../../../generations/models.ts";
import { findGeneration } from "../../../generations/read.ts";
import { endUpload } from "../../../generations/uploads.ts";
import { ApiError } from "../../../http/errors.ts";
import { MULTIPART_LIMITS } from "../../../http/multipart.ts";
import { chunksOf } from "../../../http/stream.ts";
import { isReferenceId, newId } from "../../../id.ts";
import { type AheadRefusal, admitReference, keepReference, newUpload } from "../../../references/ahead.ts";
import type { ReferenceEntry, ReferenceNames } from "../../../references/entries.ts";
import { storeReference } from "../../../references/store.ts";
import type { PagesEnv } from "../../env.ts";
import type { Texts } from "../../texts/english.tsx";

/** The reference images of the playground: uploaded ahead of the generation, and listed in its form by id. */

/** How error messages name the references of the form. */
export const PLAYGROUND_NAMES: ReferenceNames = {
  field: "references",
  param: () => "references",
  label: (index) => `Reference ${index + 1}`,
};

/** More ids than any model takes references. */
const IDS_MAX = 64;

/** The references that the field lists: ids with spaces between them. Anything else is left out. */
export function readReferences(field: string): ReferenceEntry[] {
  const ids = field.split(" ", IDS_MAX).filter(isReferenceId);
  return ids.map((id) => ({ kind: "uploaded", id }));
}

export const references = new Hono<PagesEnv>();

/** Uploads the body, or an image of the user's own that `image` names by its key. */
references.post("/", async (c) => {
  const { userId } = c.get("signedIn");
  const texts = c.get("texts");
  const key = c.req.query("image");
  const content = key === undefined ? c.req.raw.body : await openImage(userId, key, c.env);
  if (!content) return c.json({ error: texts.playground.noImage }, 404);
  const uploadId = newId("upload");
  const declared = Number(c.req.header("Content-Length") ?? 0);
  const bytes = key === undefined && Number.isSafeInteger(declared) ? declared : 0;
  const required = lowestPrice(readConfig(c.env));
  const admission = await admitReference({ userId, uploadId, required, bytes, livemode: true }, c.env);
  if (admission.kind !== "admitted") {
    await content.cancel();
    return c.json({ error: refusalWords(admission, texts) }, 409);
  }
  try {
    const upload = newUpload(userId);
    const stored = await storeReference(c.env.REFERENCES, upload.key, chunksOf(content, MULTIPART_LIMITS));
    if (stored.kind === "refused") {
      return c.json({ error: texts.playground.badFile(`The file ${stored.reason}.`) }, 422);
    }
    const kept = await keepReference(userId, upload, stored.reference, true, c.env);
    if (kept.kind !== "kept") return c.json({ error: refusalWords(kept, texts) }, 409);
    return c.json({ id: kept.reference.id }, 201);
  } catch (error) {
    if (error instanceof ApiError) {
      return c.json({ error: texts.playground.uploadFailed(error.message) }, 400);
    }
    throw error;
  } finally {
    await endUpload(userId, uploadId, c.env);
  }
});

/** An image of one of the user's generations, or undefined. */
async function openImage(userId: string, key: string, env: Env): Promise<ReadableStream | undefined> {
  const generation = await findGeneration(userId, key.replace(/\/.*/s, ""), null, Date.now(), env);
  if (!generation?.images.some((image) => image.key === key)) return undefined;
  return (await env.IMAGES.get(key))?.body;
}

function refusalWords(refusal: AheadRefusal, { playground }: Texts): string {
  switch (refusal.kind) {
    case "insufficient":
      return playground.referenceNeeds(refusal.required, refusal.available);
    case "uploads_limited":
      return playground.tooManyUploads(refusal.retryAfterSeconds);
    case "references_full":
      return playground.referencesFull;
    case "unavailable":
      return playground.noAnswer;
  }
}
