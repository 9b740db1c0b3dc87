import { lowestGenerationId } from "../id.ts";
import { type Generation, JOIN_MS, type Order, type SdkCall } from "./lifecycle.ts";
import type { GenerationStore } from "./store/generations.ts";
import type { RefusedCallStore } from "./store/refused-calls.ts";

/** Refused SDK calls that are kept, of the last 15 minutes. */
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

  /** The generation of the order's idempotency key, `conflict` when that was used for another request, or null. */
  byKey({ idempotency, versionedFingerprint }: Order): Generation | "conflict" | null {
    const generation = idempotency && this.#generations.findByKey(idempotency.key);
    if (!generation) return null;
    const known = generation.idempotency?.fingerprint;
    const isSame = known === idempotency.fingerprint || known === versionedFingerprint;
    return isSame ? generation : "conflict";
  }

  /**
   * Joins an SDK's retry to the generation of an earlier try. The generation notes the retry's count, so that the retry
   * of another, equal call takes another generation, and the order's id, so that the same order joins it again.
   */
  join({ id, sdkCall, versionedFingerprint }: Order, now: number): Generation | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const since = joinableSince(now);
    const joinedBefore = this.#generations.joinedBy(id, since);
    if (joinedBefore) return joinedBefore;
    const fingerprints = [sdkCall.fingerprint, versionedFingerprint].filter((one) => one !== undefined);
    const generation = this.#generations.joinable(fingerprints, sdkCall.count, since);
    if (!generation?.sdkCall) return null;
    const call = { ...generation.sdkCall, count: sdkCall.count, joinedBy: id };
    const joined = { ...generation, sdkCall: call };
    this.#generations.update(generation, joined);
    return joined;
  }

  /** Whether an SDK's retry may find a generation to join, before its body has been read. */
  mayJoin(sdkCount: number, call: { orderId: string; sdkCall: SdkCall } | null, now: number): boolean {
    if (sdkCount === 0) return false;
    const since = joinableSince(now);
    const refused =
      call && this.#refused.find(call.orderId, [call.sdkCall.fingerprint], sdkCount - 1, since) !== null;
    return !refused && this.#generations.joinable([], sdkCount, since) !== null;
  }

  /**
   * The refused call that this retry repeats, or that this same order noted: then there is nothing to join. Of several
   * equal calls any may take the note, since as many can join as have a generation.
   */
  refusedBefore({ id, sdkCall, unreadCall }: Order, now: number): string | null {
    if (!sdkCall || sdkCall.count === 0) return null;
    const fingerprints = [sdkCall.fingerprint, unreadCall?.fingerprint].filter((one) => one !== undefined);
    return this.#refused.find(id, fingerprints, sdkCall.count - 1, joinableSince(now));
  }

  /** Notes that the call of an SDK was refused. */
  noteRefused(orderId: string, sdkCall: SdkCall, now: number): void {
    this.#refused.note(orderId, sdkCall, joinableSince(now), REFUSED_CALLS_MAX);
  }

  forgetRefused(orderId: string | null): void {
    if (orderId !== null) this.#refused.forget(orderId);
  }
}

function joinableSince(now: number): string {
  return lowestGenerationId(now - JOIN_MS);
}
