/** Callers that wait for a generation to end. In memory: when the object is reset, its callers ask again. */
export class Waiters<Ended> {
  readonly #waiting = new Map<string, Set<(ended: Ended) => void>>();

  /** Resolves with what `answer` gives for the id, or with what `read` returns after that many milliseconds. */
  async wait(id: string, milliseconds: number, read: () => Ended): Promise<Ended> {
    const { promise, resolve } = Promise.withResolvers<Ended>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(resolve));
    const timer = setTimeout(() => resolve(read()), milliseconds);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }

  answer(id: string, ended: Ended): void {
    for (const resolve of this.#waiting.get(id) ?? []) resolve(ended);
  }
}
