import { lowestGenerationId } from "../id.ts";
import { type Generation, JOIN_MS, type RepeatableCommand, type SdkCall } from "./lifecycle.ts";
import type { GenerationStore } from "./store/generations.ts";
import type { RefusedCallStore } from "./store/refused-calls.ts";

/** How many refused SDK calls of the last 15 minutes are kept. */
const REFUSED_CALLS_MAX = 1_000;

/**
 * Finds the generation that a repeated request belongs to: by its idempotency key, or, for the retry of an SDK, by the
 * fingerprint and retry count of the call. Reads and writes inside the object's transaction.
 */
export class Repeats {
  readonly #generations: GenerationStore;
  readonly #refused: RefusedCallStore;

  constructor(generations: GenerationStore, refused: RefusedCallStore) {
    this.#generations = generations;
    this.#refused = refused;
  }

  /**
   * The generation with the command's idempotency key, `conflict` when the key was used for another request, or null.
   */
  byKey({ idempotency, versionedFingerprint }: RepeatableCommand): Generation | "conflict" | null {
    const generation = idempotency && this.#generations.findByKey(idempotency.key);
    if (!generation) return null;
    const known = generation.idempotency?.fingerprint;
    const isSame = known === idempotency.fingerprint || known === versionedFingerprint;
    return isSame ? generation : "conflict";
  }

  /**
   * Joins an SDK's retry to the generation of an earlier attempt. The generation stores the retry's count, so that the
   * retry of another, equal call takes another generation, and the command's id, so that the same command joins it
   * again.
   */
  join({ id, sdkCall, versionedFingerprint }: RepeatableCommand, now: number): Generation | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const since = retryableSince(now);
    const claimedBefore = this.#generations.findClaimedBy(id, since);
    if (claimedBefore) return claimedBefore;
    const fingerprints = [sdkCall.fingerprint, versionedFingerprint].filter((one) => one !== undefined);
    const generation = this.#generations.findRetryTarget(fingerprints, sdkCall.count, since);
    if (!generation?.sdkCall) return null;
    const call = { ...generation.sdkCall, count: sdkCall.count, claimedBy: id };
    const joined = { ...generation, sdkCall: call };
    this.#generations.update(generation, joined);
    return joined;
  }

  /** Whether an SDK's retry may find a generation to join, before its body has been read. */
  mayJoin(sdkCount: number, call: { orderId: string; sdkCall: SdkCall } | null, now: number): boolean {
    if (sdkCount === 0) return false;
    const since = retryableSince(now);
    const refused =
      call && this.#refused.find(call.orderId, [call.sdkCall.fingerprint], sdkCount - 1, since) !== null;
    return !refused && this.#generations.findRetryTarget([], sdkCount, since) !== null;
  }

  /**
   * The id of the refused call that this retry repeats, or that this same command recorded. Then the retry joins
   * nothing. Any of several equal calls may use up the record, since as many can join as have a generation.
   */
  refusedBefore({ id, sdkCall, unreadCall }: RepeatableCommand, now: number): string | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const fingerprints = [sdkCall.fingerprint, unreadCall?.fingerprint].filter((one) => one !== undefined);
    return this.#refused.find(id, fingerprints, sdkCall.count - 1, retryableSince(now));
  }

  /** Records that the call of an SDK was refused. */
  recordRefused(orderId: string, sdkCall: SdkCall, now: number): void {
    this.#refused.record(orderId, sdkCall, retryableSince(now), REFUSED_CALLS_MAX);
  }

  forgetRefused(orderId: string | null): void {
    if (orderId !== null) this.#refused.forget(orderId);
  }
}

function retryableSince(now: number): string {
  return lowestGenerationId(now - JOIN_MS);
}
