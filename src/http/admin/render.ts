import type { Grant } from "../../account/ledger.ts";
import type { Entry } from "../../account/store/ledger.ts";
import type { users } from "../../db/schema.ts";
import type { NamedGate } from "../../dispatch/client.ts";
import type { Discrepancy, Page } from "../../generations/reconcile.ts";
import type { ApiKey } from "../../keys/manage.ts";
import { isoTime } from "../v1/render.ts";

export function renderUser(user: typeof users.$inferSelect) {
  return {
    object: "user",
    id: user.id,
    email: user.email,
    name: user.name,
    account_type: user.accountType,
    created_at: isoTime(user.createdAt.getTime()),
  };
}

export function renderGrant(grant: Grant) {
  return {
    object: "credit_grant",
    id: grant.id,
    credits: grant.credits,
    remaining: grant.remaining,
    expires_at: isoTimeOrNull(grant.expiresAt),
    reason: grant.reason,
    created_at: isoTime(grant.createdAt),
  };
}

export function renderEntry(entry: Entry) {
  return {
    object: "credit_entry",
    id: `entry_${entry.seq}`,
    kind: entry.kind,
    credits: entry.credits,
    balance_after: entry.balanceAfter,
    generation_id: entry.generationId,
    grant_id: entry.grantId,
    created_at: isoTime(entry.createdAt),
  };
}

/** A key as it may be shown at any time: without the key. */
export function renderKey(key: ApiKey) {
  return {
    object: "api_key",
    id: key.id,
    name: key.name,
    display: key.display,
    created_at: isoTime(key.createdAt),
    expires_at: isoTimeOrNull(key.expiresAt),
    revoked_at: isoTimeOrNull(key.revokedAt),
  };
}

/** The gate of a provider: its circuit breaker, its limits, and what waits for it. */
export function renderProvider(gate: NamedGate) {
  return {
    object: "provider",
    name: gate.name,
    state: gate.state,
    operator: gate.operator,
    limit_per_minute: gate.perMinute,
    limit_concurrent: gate.concurrent,
    learned_per_minute: gate.learnedPerMinute,
    learned_concurrent: gate.learnedConcurrent,
    in_flight: gate.inFlight,
    waiting: gate.waiting,
    images_last_minute: gate.acceptedLastMinute,
    consecutive_failures: gate.failures,
    next_probe_at: isoTimeOrNull(gate.nextProbeAt),
    last_failure: gate.lastFailure && { reason: gate.lastFailure.reason, at: isoTime(gate.lastFailure.at) },
  };
}

export function renderReconciliation({ checked, differences, repaired, next }: Page) {
  return {
    object: "reconciliation",
    checked,
    differences: differences.map(renderDiscrepancy),
    repaired,
    has_more: next !== null,
    next_cursor: next && [next.userId, next.generationId].filter((part) => part !== "").join(":"),
  };
}

function renderDiscrepancy(discrepancy: Discrepancy) {
  const { kind, userId } = discrepancy;
  const base = { kind, user_id: userId };
  switch (discrepancy.kind) {
    case "book_broken": {
      const { balance, entriesSum, held } = discrepancy;
      return { ...base, balance, entries_sum: entriesSum, held };
    }
    case "entries_differ":
      return { ...base, in_book: discrepancy.inBook, in_log: discrepancy.inLog };
    case "generation_missing":
    case "generation_differs":
    case "generation_unknown":
      return { ...base, generation_id: discrepancy.generationId };
    case "image_missing":
      return { ...base, generation_id: discrepancy.generationId, image_id: discrepancy.imageId };
  }
}

function isoTimeOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : isoTime(milliseconds);
}
