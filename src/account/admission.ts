import type { CreditLimit } from "../db/schema.ts";
import { lowestGenerationId } from "../id.ts";
import { allowanceOf, DAY_MS, type KeyAllowance, periodAt } from "./key-limit.ts";
import type { Generation } from "./lifecycle.ts";
import { checkLimits, type LimitSettings, type LimitUse, type Quota, WINDOW_MS } from "./limits.ts";
import type { GenerationStore } from "./store/generations.ts";
import type { LedgerStore } from "./store/ledger.ts";
import type { UsageStore } from "./store/usage.ts";
import { currentUploads, type Uploads } from "./uploads.ts";

/** An id is made at most this long before its acceptance: bounds the rows that are read for the rate limit. */
const ID_AGE_MS_MAX = 60_000;
/** The most that a form has beside its files: text, part headers and boundaries. */
const FORM_BYTES_BESIDE_FILES_MAX = 4 * 1024 * 1024;

/** Why a generation, or an upload for one, is refused. Nothing was charged. */
export type SubmitRefusal =
  | { kind: "limited"; by: "rate" | "concurrency"; retryAfterSeconds: number; quota: Quota }
  /** The limit of the API key: the account may have more credits. */
  | { kind: "key_limited"; available: number; resetsAt: number | null; quota: Quota }
  | { kind: "insufficient"; available: number; quota: Quota }
  /** The caller found the provider too busy. */
  | { kind: "busy" };

/**
 * Counts a user's current use of the limits. A limit that is off is not counted. Each mode has its own limits, so that
 * tests take nothing from live work.
 */
export function limitUse(
  generations: GenerationStore,
  settings: LimitSettings,
  livemode: boolean,
  now: number,
): LimitUse {
  const { perMinute, concurrent } = settings;
  const since = now - WINDOW_MS;
  return {
    accepted:
      perMinute === 0
        ? []
        : generations.acceptedSince(since, lowestGenerationId(since - ID_AGE_MS_MAX), livemode, perMinute),
    unfinished: concurrent === 0 ? 0 : generations.countUnfinished(livemode, concurrent),
  };
}

/** A key that pays, and what it may spend. */
export type LimitedKey = { keyId: string; limit: CreditLimit };

/** What is left of the key's limit, or null where it has none. Runs inside the transaction that charges. */
export function allowance(key: LimitedKey | null, usage: UsageStore, now: number): KeyAllowance | null {
  if (key === null) return null;
  const { startsAt } = periodAt(key.limit.period, now);
  return allowanceOf(key.limit, usage.spent(key.keyId, startsAt / DAY_MS), now);
}

/**
 * Why one more upload for at least this price may not begin. Uploads under way count as accepted generations.
 * @param uploads those of the mode
 */
export function refuseUpload(
  credits: number,
  uploads: Uploads,
  settings: LimitSettings,
  { generations, ledger, usage }: { generations: GenerationStore; ledger: LedgerStore; usage: UsageStore },
  { livemode, key }: { livemode: boolean; key: LimitedKey | null },
  now: number,
): SubmitRefusal | null {
  const { open } = currentUploads(uploads, now);
  const opened = open.filter(({ isAhead }) => !isAhead).map(({ openedAt }) => openedAt);
  const { accepted, unfinished } = limitUse(generations, settings, livemode, now);
  const recent = opened.filter((time) => time > now - WINDOW_MS);
  const use = {
    accepted: [...accepted, ...recent].sort((a, b) => b - a).slice(0, settings.perMinute),
    unfinished: unfinished + opened.length,
  };
  const verdict = checkLimits(settings, use, now);
  if (verdict.kind === "limited") return verdict;
  const left = allowance(key, usage, now);
  if (left !== null && left.available < credits)
    return { kind: "key_limited", ...left, quota: verdict.quota };
  // Credits that current uploads will need are not available. Charges in the meantime may have used them, too.
  const available = Math.max(0, ledger.balance() - credits * opened.length);
  return available >= credits ? null : { kind: "insufficient", available, quota: verdict.quota };
}

/** Whether a body of this declared length may repeat the generation: it cannot be much larger than its references. */
export function mayRepeat({ request }: Generation, bytes: number | null): boolean {
  const references = request.references.reduce((sum, reference) => sum + reference.bytes, 0);
  return (bytes ?? 0) <= references + FORM_BYTES_BESIDE_FILES_MAX;
}
