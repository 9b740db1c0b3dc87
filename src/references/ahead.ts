import { REFERENCE_KEEP_MS } from "../account/references.ts";
import type { UploadedReference } from "../account/store/references.ts";
import { newId } from "../id.ts";
import { uploadedReferenceKey } from "../images/references.ts";
import { describe, log } from "../log.ts";
import { sleep } from "../time.ts";
import { discardReferences, type StoredReference } from "./store.ts";

/** References that are uploaded before any generation uses them. The account has the list, the bucket the objects. */

/** Why a reference may not be uploaded. */
export type AheadRefusal =
  | { kind: "insufficient"; required: number; available: number }
  | { kind: "uploads_limited"; retryAfterSeconds: number }
  | { kind: "references_full" }
  /** A retry may succeed. */
  | { kind: "unavailable" };

/** How often the account is asked to note a stored reference, with the same id. */
const KEEP_ATTEMPTS = 3;
/** Doubles with each attempt. */
const KEEP_AGAIN_MS = 200;

/**
 * Decides whether a caller may upload a reference: the credits cover the cheapest generation, and the limits on uploads
 * and on references that are kept allow it.
 * @param required the credits of the cheapest generation; 0 for a test key
 * @param bytes the declared length, or 0 when none is declared
 */
export async function admitReference(
  upload: { userId: string; uploadId: string; required: number; bytes: number; livemode: boolean },
  env: Env,
): Promise<{ kind: "admitted" } | AheadRefusal> {
  const { userId, uploadId, required, bytes, livemode } = upload;
  try {
    const admission = await env.ACCOUNT.getByName(userId).admitReference(uploadId, required, bytes, livemode);
    return admission.kind === "insufficient" ? { ...admission, required } : admission;
  } catch (error) {
    log("admit_failed", { user_id: userId, error: describe(error) });
    return { kind: "unavailable" };
  }
}

/** The id of a new reference, and the key of its object in R2. */
export type NewUpload = { id: string; key: string };

export function newUpload(userId: string): NewUpload {
  const id = newId("ref");
  return { id, key: uploadedReferenceKey(userId, id) };
}

export type KeepOutcome =
  | { kind: "kept"; reference: UploadedReference }
  | { kind: "references_full" }
  | { kind: "unavailable" };

/** Records a stored reference in the account. If that fails, the object is removed again. */
export async function keepReference(
  userId: string,
  { id }: NewUpload,
  stored: StoredReference,
  livemode: boolean,
  env: Env,
): Promise<KeepOutcome> {
  const reference = { ...stored, id, livemode, expiresAt: Date.now() + REFERENCE_KEEP_MS };
  for (let attempt = 0; attempt < KEEP_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(KEEP_AGAIN_MS * 2 ** attempt);
    try {
      const outcome = await env.ACCOUNT.getByName(userId).keepReference(reference);
      if (outcome === "kept") return { kind: "kept", reference };
      await discardReferences(env.REFERENCES, [stored]);
      return { kind: "references_full" };
    } catch (error) {
      log("keep_reference_failed", { user_id: userId, attempt, error: describe(error) });
    }
  }
  await discardReferences(env.REFERENCES, [stored]);
  return { kind: "unavailable" };
}

/** Deletes a reference. `unknown`: the user has none of that id and mode. */
export async function deleteReference(
  userId: string,
  id: string,
  livemode: boolean,
  env: Env,
): Promise<"deleted" | "unknown" | "unavailable"> {
  try {
    const isDeleted = await env.ACCOUNT.getByName(userId).deleteReference(id, livemode);
    return isDeleted ? "deleted" : "unknown";
  } catch (error) {
    log("delete_reference_failed", { user_id: userId, error: describe(error) });
    return "unavailable";
  }
}
