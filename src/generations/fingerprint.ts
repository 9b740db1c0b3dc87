import { isLive, type SubmitCommand } from "../account/lifecycle.ts";
import { sha256Hex } from "../hash.ts";
import type { AskedRequest } from "./request.ts";

/**
 * Headers by which an SDK identifies a call: the number of earlier attempts, and the declared length of the body (null
 * if unknown), the only thing that identifies an upload before its body is read.
 */
export type SdkHeaders = { keyId: string; count: number; bodyBytes: number | null };

type Repetition = Pick<SubmitCommand, "idempotency" | "sdkCall" | "unreadCall" | "versionedFingerprint">;

/** The idempotency key as the account knows it: the keys of the two modes never meet. A client's key has no space. */
export function scopedIdempotencyKey(key: string, livemode: boolean): string {
  return livemode ? key : `test ${key}`;
}

/**
 * The values by which a repeated request finds the first one. An idempotency key takes precedence over an SDK's count.
 * @param sources what distinguishes each reference: see `sourceOf`
 */
export async function repetitionOf(
  idempotencyKey: string | null,
  sdk: SdkHeaders | null,
  request: AskedRequest,
  sources: readonly string[],
): Promise<Repetition> {
  if (idempotencyKey === null && sdk === null) return { idempotency: null, sdkCall: null };
  const versioned = await fingerprintOf(request, sources);
  const unversioned = await unversionedFingerprintOf(request, sources);
  if (idempotencyKey !== null) {
    const idempotency = {
      key: scopedIdempotencyKey(idempotencyKey, isLive(request)),
      fingerprint: unversioned,
    };
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
 * Equal for two requests that ask for the same. It covers every field that the client can set, after validation, and
 * the source of each reference. It leaves out the host, how the client waits and which provider is used.
 *
 * It is stored for 24 hours, so it must not change between releases. Append a new field to the list only when its value
 * differs from that of a request without it. Any other change needs a new version, and requests are compared by both
 * versions for a day.
 */
async function fingerprintOf(request: AskedRequest, sources: readonly string[]): Promise<string> {
  const { model, prompt, aspectRatio, tier, size, renderQuality, n, outputFormat, outputCompression } =
    request;
  const { background, moderation, endUser, webhookUrl, maxCredits, metadata, test } = request;
  const fields = [
    ...[model, prompt, aspectRatio, tier, size === "auto" ? size : [size.width, size.height]],
    ...[renderQuality, n, outputFormat, outputCompression, background, moderation, endUser],
    sources,
    ...(webhookUrl === undefined ? [] : [{ webhookUrl }]),
    ...(maxCredits === undefined ? [] : [{ maxCredits }]),
    // In the order of names: callers may send the same labels in any order.
    ...(metadata === undefined ? [] : [{ metadata: Object.entries(metadata).sort(byName) }]),
    ...(test === undefined ? [] : [{ outcome: test.outcome, delaySeconds: test.delaySeconds }]),
  ];
  return `v1:${await sha256Hex(JSON.stringify(fields))}`;
}

/**
 * The fingerprint of release 0.1.0, which had no versions: a hash of its whole stored request, whose fields and order
 * are frozen here. An account that still runs that release during a deployment compares only this one.
 */
async function unversionedFingerprintOf(request: AskedRequest, sources: readonly string[]): Promise<string> {
  const { model, providerModel, prompt, aspectRatio, tier, size, renderQuality, n } = request;
  const { outputFormat, outputCompression, background, moderation, endUser } = request;
  const fields = {
    ...{ model, providerModel, prompt, aspectRatio, tier, size, renderQuality, n },
    ...{ outputFormat, outputCompression, background, moderation, endUser },
    references: sources,
  };
  return await sha256Hex(JSON.stringify(fields));
}

function byName([a]: readonly [string, string], [b]: readonly [string, string]): number {
  return a < b ? -1 : 1;
}
