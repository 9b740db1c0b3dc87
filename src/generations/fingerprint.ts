import type { GenerationRequest, Order } from "../account/lifecycle.ts";
import { sha256Hex } from "../hash.ts";

/**
 * What an SDK says about a call: how often it has tried before, and the length it declares for an upload's body (null if
 * unknown), which is all that identifies an upload before its body is read.
 */
export type SdkHeaders = { keyId: string; count: number; bodyBytes: number | null };

type Repetition = Pick<Order, "idempotency" | "sdkCall" | "unreadCall" | "versionedFingerprint">;

/** What lets a repeated request join the first one. An idempotency key takes precedence over an SDK's retry count. */
export async function repetitionOf(
  idempotencyKey: string | null,
  sdk: SdkHeaders | null,
  request: GenerationRequest,
): Promise<Repetition> {
  if (idempotencyKey === null && sdk === null) return { idempotency: null, sdkCall: null };
  const versioned = await fingerprintOf(request);
  const unversioned = await unversionedFingerprintOf(request);
  if (idempotencyKey !== null) {
    const idempotency = { key: idempotencyKey, fingerprint: unversioned };
    return { idempotency, sdkCall: null, versionedFingerprint: versioned };
  }
  if (sdk === null) return { idempotency: null, sdkCall: null };
  return {
    idempotency: null,
    sdkCall: { fingerprint: await sha256Hex(`${sdk.keyId}\n${unversioned}`), count: sdk.count },
    unreadCall: { fingerprint: await unreadFingerprint(sdk) },
    versionedFingerprint: await scopedToKey(sdk.keyId, versioned),
  };
}

/** Identifies an SDK's upload before its body is read. */
export async function unreadFingerprint({ keyId, bodyBytes }: SdkHeaders): Promise<string> {
  return scopedToKey(keyId, `unread upload of ${bodyBytes ?? "unknown"} bytes`);
}

/** Calls by two keys never share a fingerprint. */
async function scopedToKey(keyId: string, fingerprint: string): Promise<string> {
  return `v1:${await sha256Hex(`${keyId}\n${fingerprint}`)}`;
}

/**
 * Equal for two requests that ask for the same: every field the caller can set, as it was understood, and the content of
 * each reference. The host that was called, how the caller waits and which provider is used are not part of it.
 *
 * It is stored for 24 hours, so it must not change between releases. Append a new field to the list only where its value
 * differs from that of a request without it. A change that cannot be made that way takes the next version, and repeats
 * are compared by both versions for a day.
 */
async function fingerprintOf(request: GenerationRequest): Promise<string> {
  const { model, prompt, aspectRatio, tier, size, renderQuality, n, outputFormat, outputCompression } =
    request;
  const { background, moderation, endUser, references } = request;
  const asked = [
    ...[model, prompt, aspectRatio, tier, size === "auto" ? size : [size.width, size.height]],
    ...[renderQuality, n, outputFormat, outputCompression, background, moderation, endUser],
    references.map(({ sha256 }) => sha256),
  ];
  return `v1:${await sha256Hex(JSON.stringify(asked))}`;
}

/**
 * The fingerprint of release 0.1.0, which had no versions: a hash of its whole stored request, whose fields and order
 * are frozen here. An account that still runs that release during a deployment compares nothing else.
 */
async function unversionedFingerprintOf(request: GenerationRequest): Promise<string> {
  const { model, providerModel, prompt, aspectRatio, tier, size, renderQuality, n } = request;
  const { outputFormat, outputCompression, background, moderation, endUser } = request;
  const asked = {
    ...{ model, providerModel, prompt, aspectRatio, tier, size, renderQuality, n },
    ...{ outputFormat, outputCompression, background, moderation, endUser },
    references: request.references.map(({ sha256 }) => sha256),
  };
  return await sha256Hex(JSON.stringify(asked));
}
