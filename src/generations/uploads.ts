import type { Config } from "../config.ts";
import { hasRoutes } from "../dispatch/routes.ts";
import { newId } from "../id.ts";
import { describe, log } from "../log.ts";
import { discardReferences } from "../references/store.ts";
import { type SdkHeaders, scopedIdempotencyKey, unreadFingerprint } from "./fingerprint.ts";
import { lowestPrice } from "./models.ts";
import type { Mismatch, Refusal } from "./refusal.ts";
import type { PayingKey } from "./request.ts";

/** An upload of reference images, before its body is read. */
export type Upload = {
  id: string;
  /** The declared length of the body, or null. */
  bodyBytes: number | null;
  idempotencyKey: string | null;
  sdk: SdkHeaders | null;
  livemode: boolean;
  /** The key that will pay, or null for the pages. */
  key: PayingKey | null;
  /** The price of the generation, where it is known before the upload. */
  credits?: number;
};

/** Why an upload may not begin. Nothing was charged. */
export type UploadRefusal = Refusal | Mismatch;

/**
 * Decides whether a client may upload references: a provider is configured, the limits allow it, and there are enough
 * credits for it, or for the cheapest generation; or an earlier request already created the generation. A test key needs
 * neither provider nor credits.
 */
export async function admitUpload(
  userId: string,
  { id, bodyBytes, idempotencyKey, sdk, livemode, key, credits }: Upload,
  env: Env,
  config: Config,
): Promise<{ kind: "admitted" } | UploadRefusal> {
  if (livemode && !hasRoutes(config)) return { kind: "unavailable" };
  const required = livemode ? (credits ?? lowestPrice(config)) : 0;
  const sdkCall = sdk && { fingerprint: await unreadFingerprint(sdk), count: sdk.count };
  const call = sdkCall && { orderId: newId("gen"), sdkCall };
  try {
    const account = env.ACCOUNT.getByName(userId);
    const limited = key?.creditLimit ? { keyId: key.keyId, limit: key.creditLimit } : null;
    const upload = { id, bytes: bodyBytes, call, livemode, key: limited };
    const scopedKey = idempotencyKey === null ? null : scopedIdempotencyKey(idempotencyKey, livemode);
    const admission = await account.admit(required, scopedKey, sdk?.count ?? 0, upload);
    switch (admission.kind) {
      case "insufficient":
      case "key_limited":
        return { ...admission, required };
      case "conflict":
        return { kind: "mismatch" };
      case "admitted":
      case "limited":
      case "uploads_limited":
        return admission;
    }
  } catch (error) {
    log("admit_failed", { user_id: userId, error: describe(error) });
  }
  return { kind: "unavailable" };
}

/** Gives up an upload that led to no generation: the account counts it, and its references are deleted. */
export async function giveUpUpload(
  userId: string,
  uploadId: string | null,
  references: readonly { key: string }[],
  env: Env,
): Promise<void> {
  if (uploadId !== null) await endUpload(userId, uploadId, env);
  await discardReferences(env.REFERENCES, references);
}

/** Ends an upload that led to no generation. If this fails, the account forgets the upload later. */
export async function endUpload(userId: string, uploadId: string, env: Env): Promise<void> {
  try {
    await env.ACCOUNT.getByName(userId).uploadEnded(uploadId);
  } catch (error) {
    log("upload_end_failed", { user_id: userId, error: describe(error) });
  }
}
