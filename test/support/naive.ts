/**
 * A naive ledger to compare the real one with: one object for each single credit. Written from the documented rules,
 * not from the code: it shares nothing with src/.
 */
type Credit = { grant: string; expiresAt: number | null };

const DAY = 24 * 60 * 60 * 1000;

export class NaiveCredits {
  #free: Credit[] = [];
  readonly #taken = new Map<string, Credit[]>();

  grant(grant: string, credits: number, expiresAt: number | null): void {
    for (let i = 0; i < credits; i++) this.#free.push({ grant, expiresAt });
  }

  /**
   * Whether there were enough credits. Those that expire soonest pay first, those without expiry last; ties by grant
   * id.
   */
  charge(generation: string, credits: number, now: number): boolean {
    this.#forgetExpired(now);
    if (this.#free.length < credits) return false;
    this.#free.sort(
      (a, b) =>
        (a.expiresAt ?? Number.POSITIVE_INFINITY) - (b.expiresAt ?? Number.POSITIVE_INFINITY) ||
        (a.grant < b.grant ? -1 : a.grant > b.grant ? 1 : 0),
    );
    this.#taken.set(generation, this.#free.splice(0, credits));
    return true;
  }

  /** Ends a generation: returns that many of its credits, the last taken first; the others are used. */
  finish(generation: string, returned: number, whose: "fault" | "own", now: number): void {
    const taken = this.#taken.get(generation) ?? [];
    this.#taken.delete(generation);
    for (const credit of taken.slice(taken.length - returned)) {
      const soon = credit.expiresAt !== null && credit.expiresAt - now <= 7 * DAY;
      // Credits are renewed once.
      const renewable = whose === "fault" && soon && !credit.grant.startsWith("refund_");
      const renewed = { grant: `refund_${generation}`, expiresAt: now + 30 * DAY };
      this.#free.push(renewable ? renewed : credit);
    }
    this.#forgetExpired(now);
  }

  credits(now: number): number {
    this.#forgetExpired(now);
    return this.#free.length;
  }

  nextExpiration(now: number): number | null {
    this.#forgetExpired(now);
    const times = this.#free.flatMap(({ expiresAt }) => (expiresAt === null ? [] : [expiresAt]));
    return times.length === 0 ? null : Math.min(...times);
  }

  /** What each grant has left, without spent grants. */
  remaining(now: number): Record<string, number> {
    this.#forgetExpired(now);
    const remaining: Record<string, number> = {};
    for (const { grant } of this.#free) remaining[grant] = (remaining[grant] ?? 0) + 1;
    return remaining;
  }

  /** Credits charged for unfinished generations. */
  open(): number {
    return [...this.#taken.values()].reduce((sum, credits) => sum + credits.length, 0);
  }

  #forgetExpired(now: number): void {
    this.#free = this.#free.filter(({ expiresAt }) => expiresAt === null || expiresAt > now);
  }
}
