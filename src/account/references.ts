import type { GenerationRequest } from "./lifecycle.ts";
import type { ReferenceStore, UploadedReference } from "./store/references.ts";

/** How long a reference that was uploaded ahead can be used. */
export const REFERENCE_KEEP_MS = 86_400_000;
/** References of one user and mode that were uploaded ahead: those whose objects are in storage. */
export const UPLOADED_REFERENCES_MAX = 200;
/** Their bytes together. */
export const UPLOADED_BYTES_MAX = 4 * 1024 ** 3;
/** When a removal is tried again that failed, or that an unfinished generation held up. */
const REMOVE_AGAIN_MS = 60_000;

/**
 * The references that one user uploaded ahead. A generation may use one until it expires or is deleted; its object is
 * removed once no unfinished generation uses it. Reads and writes inside the object's transaction.
 */
export class UploadedReferences {
  readonly #store: ReferenceStore;

  constructor(store: ReferenceStore) {
    this.#store = store;
  }

  /** Whether this many more bytes would exceed a limit. Each mode has its own limits. */
  isFull(bytes: number, livemode: boolean): boolean {
    const held = this.#store.totals(livemode);
    return held.count >= UPLOADED_REFERENCES_MAX || held.bytes + bytes > UPLOADED_BYTES_MAX;
  }

  /** Notes a stored reference. The same one again changes nothing. */
  keep(reference: UploadedReference): "kept" | "full" {
    if (this.#store.get(reference.id)) return "kept";
    if (this.isFull(reference.bytes, reference.livemode)) return "full";
    this.#store.insert(reference);
    return "kept";
  }

  /** The reference, if a generation of that mode may use it now. */
  find(id: string, livemode: boolean, now: number): UploadedReference | null {
    const reference = this.#store.get(id);
    return reference && reference.livemode === livemode && reference.expiresAt > now ? reference : null;
  }

  /** The first reference of a request that may no longer be used, or null. */
  missing({ references }: GenerationRequest, now: number): string | null {
    const ids = references.map(({ id }) => id).filter((id) => id !== undefined);
    return ids.find((id) => (this.#store.get(id)?.expiresAt ?? 0) <= now) ?? null;
  }

  /** Ends the use of a reference. @returns whether there was one to end */
  expire(id: string, livemode: boolean, now: number): boolean {
    if (!this.find(id, livemode, now)) return false;
    this.#store.expire(id, now);
    return true;
  }

  /** The references whose objects can be removed now. They are returned again until {@link removed} is called. */
  takeDue(now: number): UploadedReference[] {
    const next = this.#store.nextRemoval();
    if (next === null || next > now) return [];
    return this.#store.takeDue(now, now + REMOVE_AGAIN_MS);
  }

  removed(references: readonly UploadedReference[]): void {
    this.#store.delete(references.map(({ id }) => id));
  }

  nextRemoval(): number | null {
    return this.#store.nextRemoval();
  }
}
