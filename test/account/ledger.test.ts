import { describe, expect, it } from "vitest";
import {
  type Allocation,
  bookGrant,
  charge,
  expire,
  type Grant,
  type Posting,
  RENEW_WITHIN_MS,
  RENEWED_FOR_MS,
  type RefundCause,
  refund,
  renewedGrantId,
} from "../../src/account/ledger.ts";
import { createRandom, type Random } from "../../src/providers/sketch/random.ts";
import { NaiveCredits } from "../support/naive.ts";

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 4, 1);

/** `[id, remaining, expiresAt, credits]`; 100 credits by default. */
type GrantLine = [id: string, remaining: number, expiresAt: number | null, credits?: number];

function grantsOf(lines: readonly GrantLine[]): Grant[] {
  return lines.map(([id, remaining, expiresAt, credits = 100]) => ({
    id,
    credits,
    remaining,
    expiresAt,
    reason: null,
    createdAt: 0,
  }));
}

const sumOf = (grants: readonly Grant[]) => grants.reduce((sum, grant) => sum + grant.remaining, 0);

/** A posting as a line of a ledger: kind, change, grant, what the grant has left, the balance. */
const lineOf = ({ kind, credits, grant, balanceAfter }: Posting) =>
  [kind, credits, grant.id, grant.remaining, balanceAfter] as const;

describe("bookGrant", () => {
  it("adds the whole grant to the balance", () => {
    const [grant] = grantsOf([["a", 50, null, 50]]);
    expect(grant && bookGrant(7, grant)).toEqual({
      kind: "grant",
      credits: 50,
      balanceAfter: 57,
      generationId: null,
      grant,
    });
  });

  it.each([
    ["part of it spent", 49, 50, "a new grant has all its credits left"],
    ["nothing", 0, 0, "credits are whole and positive"],
    ["less than nothing", -1, -1, "credits are whole and positive"],
    ["half a credit", 0.5, 0.5, "credits are whole and positive"],
    ["more than can be counted", 2 ** 53, 2 ** 53, "credits are whole and positive"],
    ["no number", Number.NaN, Number.NaN, "credits are whole and positive"],
  ])("throws on %s", (_, remaining, credits, rule) => {
    const [grant] = grantsOf([["a", remaining, null, credits]]);
    expect(() => grant && bookGrant(0, grant)).toThrow(`Ledger invariant violated: ${rule}.`);
  });
});

describe("charge", () => {
  const three: GrantLine[] = [
    ["soon", 5, NOW + 1],
    ["later", 3, NOW + DAY],
    ["never", 10, null],
  ];

  it.each<[string, GrantLine[], number, (readonly [string, number, string, number, number])[]]>([
    ["the first grant alone", three, 4, [["charge", -4, "soon", 1, 14]]],
    ["the first grant to its end", three, 5, [["charge", -5, "soon", 0, 13]]],
    [
      "one more than it holds",
      three,
      6,
      [
        ["charge", -5, "soon", 0, 13],
        ["charge", -1, "later", 2, 12],
      ],
    ],
    [
      "everything there is",
      three,
      18,
      [
        ["charge", -5, "soon", 0, 13],
        ["charge", -3, "later", 0, 10],
        ["charge", -10, "never", 0, 0],
      ],
    ],
    ["the last credit", [["only", 1, null]], 1, [["charge", -1, "only", 0, 0]]],
  ])("takes %s", (_, lines, credits, expected) => {
    const grants = grantsOf(lines);
    const outcome = charge(sumOf(grants), grants, credits, "gen_1");
    if (outcome.kind !== "charged") throw new Error(outcome.kind);
    expect(outcome.postings.map(lineOf)).toEqual(expected);
    expect(outcome.allocations).toEqual(
      expected.map(([, change, grantId]) => ({ grantId, credits: -change })),
    );
    expect(new Set(outcome.postings.map((posting) => posting.generationId))).toEqual(new Set(["gen_1"]));
  });

  it.each([
    [18, 19],
    [0, 1],
    [7, 8],
  ])("of a balance of %i refuses %i, and says what there is", (balance, credits) => {
    expect(charge(balance, grantsOf(three), credits, "gen_1")).toEqual({
      kind: "insufficient",
      available: balance,
    });
  });

  it("reads only the grants that it needs", () => {
    const read: string[] = [];
    function* grants() {
      for (const grant of grantsOf(three)) {
        read.push(grant.id);
        yield grant;
      }
    }
    expect(charge(18, grants(), 4, "gen_1").kind).toBe("charged");
    expect(read).not.toContain("never");
  });

  it.each([0, -8, 1.5, Number.NaN, Number.POSITIVE_INFINITY])("throws on %f credits", (credits) => {
    expect(() => charge(100, grantsOf(three), credits, "gen_1")).toThrow("credits are whole and positive");
  });

  it("throws when the grants have less left than the balance", () => {
    expect(() => charge(100, grantsOf(three), 19, "gen_1")).toThrow("the unspent grants hold the balance");
  });
});

describe("refund", () => {
  const whole: readonly Allocation[] = [
    { grantId: "a", credits: 5 },
    { grantId: "b", credits: 3 },
  ];
  const keeps: GrantLine[] = [
    ["a", 0, NOW + 100 * DAY],
    ["b", 7, null],
  ];

  function refunded(
    lines: readonly GrantLine[],
    paid: readonly Allocation[],
    credits: number,
    cause: RefundCause,
  ) {
    const grants = new Map(grantsOf(lines).map((grant) => [grant.id, grant]));
    const find = (id: string) => {
      const grant = grants.get(id);
      if (!grant) throw new Error(`no grant ${id}`);
      return grant;
    };
    return refund(20, paid, credits, cause, "gen_1", NOW, find);
  }

  it.each<[string, number, (readonly [string, number, string, number, number])[]]>([
    ["part of the last taken", 2, [["refund", 2, "b", 9, 22]]],
    ["the last taken whole", 3, [["refund", 3, "b", 10, 23]]],
    [
      "one more than the last taken",
      4,
      [
        ["refund", 3, "b", 10, 23],
        ["refund", 1, "a", 1, 24],
      ],
    ],
    [
      "everything",
      8,
      [
        ["refund", 3, "b", 10, 23],
        ["refund", 5, "a", 5, 28],
      ],
    ],
  ])("returns %s, whoever's doing it was", (_, credits, expected) => {
    expect(refunded(keeps, whole, credits, "fault").map(lineOf)).toEqual(expected);
    expect(refunded(keeps, whole, credits, "own").map(lineOf)).toEqual(expected);
  });

  const WEEK = 7 * DAY;

  it.each<[string, "kept" | "renewed", number]>([
    ["a day ago", "renewed", NOW - DAY],
    ["1 ms ago", "renewed", NOW - 1],
    ["now", "renewed", NOW],
    ["in 1 ms", "renewed", NOW + 1],
    ["in 7 days less 1 ms", "renewed", NOW + WEEK - 1],
    ["in 7 days", "renewed", NOW + WEEK],
    ["in 7 days and 1 ms", "kept", NOW + WEEK + 1],
    ["in 30 days", "kept", NOW + 30 * DAY],
  ])("after a fault of ours, what expires %s is %s", (_, expected, expiresAt) => {
    const postings = refunded([["a", 0, expiresAt]], [{ grantId: "a", credits: 8 }], 8, "fault");
    expect(postings.map(lineOf)).toEqual([
      expected === "kept" ? ["refund", 8, "a", 8, 28] : ["refund", 8, "refund_gen_1", 8, 28],
    ]);
    expect(postings[0]?.grant.expiresAt).toBe(expected === "kept" ? expiresAt : NOW + 30 * DAY);
  });

  it.each<[string, "is kept" | "lapses", number]>([
    ["a day ago", "lapses", NOW - DAY],
    ["1 ms ago", "lapses", NOW - 1],
    ["now", "lapses", NOW],
    ["in 1 ms", "is kept", NOW + 1],
    ["in 7 days less 1 ms", "is kept", NOW + WEEK - 1],
    ["in 7 days", "is kept", NOW + WEEK],
    ["in 7 days and 1 ms", "is kept", NOW + WEEK + 1],
  ])("after the caller's own doing, what expires %s %s, and is not renewed", (_, expected, expiresAt) => {
    const postings = refunded([["a", 0, expiresAt]], [{ grantId: "a", credits: 8 }], 8, "own");
    expect(postings.map(lineOf)).toEqual([
      ["refund", 8, "a", 8, 28],
      ...(expected === "is kept" ? [] : [["expiry", -8, "a", 0, 20]]),
    ]);
    expect(postings.map(({ grant }) => grant.expiresAt)).toEqual(postings.map(() => expiresAt));
  });

  it("returns renewed credits with their own expiry", () => {
    const id = renewedGrantId("gen_0");
    const [renewed] = grantsOf([[id, 0, NOW + DAY, 8]]);
    if (renewed === undefined) throw new Error("There is no grant.");
    const postings = refund(0, [{ grantId: id, credits: 8 }], 8, "fault", "gen_1", NOW, () => renewed);
    expect(postings).toEqual([
      expect.objectContaining({ kind: "refund", credits: 8, grant: { ...renewed, remaining: 8 } }),
    ]);
  });

  it("puts renewed credits of several grants into one new grant, after those that keep their expiry", () => {
    const paid = [
      { grantId: "gone", credits: 2 },
      { grantId: "soon", credits: 3 },
      { grantId: "never", credits: 4 },
    ];
    const lines: GrantLine[] = [
      ["gone", 0, NOW - 1],
      ["soon", 1, NOW + DAY],
      ["never", 6, null],
    ];
    const postings = refunded(lines, paid, 9, "fault");
    expect(postings.map(lineOf)).toEqual([
      ["refund", 4, "never", 10, 24],
      ["refund", 5, "refund_gen_1", 5, 29],
    ]);
    expect(postings[1]?.grant).toEqual({
      id: "refund_gen_1",
      credits: 5,
      remaining: 5,
      expiresAt: NOW + RENEWED_FOR_MS,
      reason: "refund",
      createdAt: NOW,
    });
  });

  it("has the promised periods", () => {
    expect([RENEW_WITHIN_MS, RENEWED_FOR_MS]).toEqual([7 * DAY, 30 * DAY]);
  });

  it.each<[string, GrantLine[], number, string]>([
    ["more than was paid", keeps, 9, "no more is refunded than was paid"],
    ["nothing", keeps, 0, "credits are whole and positive"],
    ["half a credit", keeps, 0.5, "credits are whole and positive"],
    [
      "more than a grant was given",
      [
        ["a", 96, null],
        ["b", 0, null],
      ],
      8,
      "a grant never has more left than it was given",
    ],
    ["to a grant that is not there", [["b", 0, null]], 8, "no grant a"],
  ])("throws on a refund of %s", (_, lines, credits, rule) => {
    expect(() => refunded(lines, whole, credits, "own")).toThrow(rule);
  });
});

describe("expire", () => {
  it("expires each grant in turn", () => {
    const grants = grantsOf([
      ["a", 5, NOW - DAY],
      ["b", 3, NOW],
    ]);
    expect(expire(10, grants, NOW).map(lineOf)).toEqual([
      ["expiry", -5, "a", 0, 5],
      ["expiry", -3, "b", 0, 2],
    ]);
  });

  it.each([
    ["expires in 1 ms", NOW + 1],
    ["never expires", null],
  ])("throws on a grant that %s", (_, expiresAt) => {
    expect(() => expire(10, grantsOf([["a", 5, expiresAt]]), NOW)).toThrow(
      "only an expired grant is posted as expired",
    );
  });
});

/** To repeat one sequence, replace the list with its seed. */
const SEEDS = Array.from({ length: 2_500 }, (_, index) => index + 1);
const STEPS = 30;

describe("any sequence of grants, charges, refunds and expiries", () => {
  it(`matches ${SEEDS.length} naive ledgers of single credits`, () => {
    const seen = new Map<string, number>();
    for (const seed of SEEDS) {
      try {
        playSequence(createRandom(seed, "ledger"), (what) => seen.set(what, (seen.get(what) ?? 0) + 1));
      } catch (error) {
        throw new Error(`SEEDS = [${seed}] fails`, { cause: error });
      }
    }
    // The random sequences must reach every case, or they prove nothing.
    for (const corner of ["insufficient", "partial", "failed", "refused", "renewed", "returned expired"]) {
      expect(seen.get(corner) ?? 0, corner).toBeGreaterThanOrEqual(Math.floor(SEEDS.length / 5));
    }
  });
});

/** The ledger as the Account keeps it, but in memory. */
class Book {
  readonly grants = new Map<string, Grant>();
  readonly entries: Posting[] = [];

  get balance(): number {
    return this.entries.at(-1)?.balanceAfter ?? 0;
  }

  live(): Grant[] {
    return [...this.grants.values()]
      .filter((grant) => grant.remaining > 0)
      .sort(
        (a, b) =>
          (a.expiresAt ?? Number.MAX_VALUE) - (b.expiresAt ?? Number.MAX_VALUE) || (a.id < b.id ? -1 : 1),
      );
  }

  post(postings: readonly Posting[]): void {
    for (const posting of postings) {
      expect(posting.balanceAfter).toBe(this.balance + posting.credits);
      expect(posting.balanceAfter).toBeGreaterThanOrEqual(0);
      expect(posting.grant.remaining).toBeGreaterThanOrEqual(0);
      this.entries.push(posting);
      this.grants.set(posting.grant.id, posting.grant);
    }
  }

  bookExpired(now: number): void {
    const lapsed = this.live().filter(({ expiresAt }) => expiresAt !== null && expiresAt <= now);
    this.post(expire(this.balance, lapsed, now));
  }

  find = (id: string): Grant => {
    const grant = this.grants.get(id);
    if (!grant) throw new Error(`no grant ${id}`);
    return grant;
  };
}

const STEPS_OF_THE_CLOCK = [0, 1, DAY / 2, DAY, 6 * DAY, 7 * DAY - 1, 7 * DAY, 7 * DAY + 1, 23 * DAY];
const EXPIRIES = [null, null, 1, DAY, 7 * DAY - 1, 7 * DAY, 7 * DAY + 1, 8 * DAY, 14 * DAY, 60 * DAY];

function playSequence(random: Random, see: (what: string) => void): void {
  const book = new Book();
  const naive = new NaiveCredits();
  const open = new Map<string, { price: number; n: number; paid: readonly Allocation[] }>();
  const below = (limit: number) => Math.floor(random.between(0, limit));
  const pickFrom = <T>(choices: readonly T[]) => choices[below(choices.length)];
  const flow = { charged: 0, used: 0, refunded: 0 };
  let now = NOW;

  for (let step = 0; step < STEPS; step++) {
    now += pickFrom(STEPS_OF_THE_CLOCK) ?? 0;
    book.bookExpired(now);
    const action = below(10);
    if (action < 3) {
      const lasts = pickFrom(EXPIRIES) ?? null;
      const credits = 1 + below(30);
      const expiresAt = lasts === null ? null : now + lasts;
      const id = `grant_${String(99 - step)}`;
      const grant = { id, credits, remaining: credits, expiresAt, reason: null, createdAt: now };
      book.post([bookGrant(book.balance, grant)]);
      naive.grant(id, credits, expiresAt);
    } else if (action < 6) {
      const id = `gen_${step}`;
      const n = 1 + below(4);
      const price = 1 + below(6);
      const outcome = charge(book.balance, book.live(), n * price, id);
      expect(outcome.kind).toBe(naive.charge(id, n * price, now) ? "charged" : "insufficient");
      if (outcome.kind === "charged") {
        book.post(outcome.postings);
        open.set(id, { price, n, paid: outcome.allocations });
        flow.charged += n * price;
      } else {
        expect(outcome.available).toBe(naive.credits(now));
        see("insufficient");
      }
    } else {
      const id = pickFrom([...open.keys()]);
      const work = id === undefined ? undefined : open.get(id);
      if (id === undefined || work === undefined) continue;
      open.delete(id);
      const delivered = random.pick([work.n, work.n, below(work.n + 1), 0]);
      const cause = delivered === work.n ? "fault" : random.pick<RefundCause>(["fault", "own"]);
      see(delivered > 0 ? (delivered < work.n ? "partial" : "full") : cause === "own" ? "refused" : "failed");
      const returned = work.price * (work.n - delivered);
      if (returned > 0) {
        const postings = refund(book.balance, work.paid, returned, cause, id, now, book.find);
        if (postings.some((posting) => posting.grant.id === `refund_${id}`)) see("renewed");
        if (postings.some((posting) => posting.kind === "expiry")) see("returned expired");
        book.post(postings);
      }
      naive.finish(id, returned, cause, now);
      flow.refunded += returned;
      flow.used += work.price * delivered;
    }

    const remaining = Object.fromEntries(book.live().map((grant) => [grant.id, grant.remaining]));
    expect(book.balance).toBe(naive.credits(now));
    expect(remaining).toEqual(naive.remaining(now));
    expect(nextExpirationOf(book)).toBe(naive.nextExpiration(now));
    expect(book.entries.reduce((sum, entry) => sum + entry.credits, 0)).toBe(book.balance);
    expect(flow.charged).toBe(flow.used + flow.refunded + naive.open());
  }
}

function nextExpirationOf(book: Book): number | null {
  const times = book.live().flatMap(({ expiresAt }) => (expiresAt === null ? [] : [expiresAt]));
  return times.length === 0 ? null : Math.min(...times);
}
