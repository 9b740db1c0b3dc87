/** Something is broken, and an operator has to act. */
const ERRORS = [
  ...["request_failed", "page_failed", "health_failed", "job_failed", "queue_unknown", "run_failed"],
  ...["generation_broken", "alarm_failed", "provider_misconfigured", "image_not_stored", "mail_failed"],
  ...["submit_outcome_unknown", "purchase_mismatch", "dead_letter", "books_differ"],
  ...["alert", "alert_failed", "audit_failed"],
] as const;

/** Something failed, and the service recovers by itself or the caller got an error. Many of a kind have a cause. */
const WARNINGS = [
  ...["admin_token_too_short", "key_lookup_failed", "key_use_failed", "admit_failed", "submit_failed"],
  ...["wait_failed", "runner_failed", "take_over_failed", "runner_stay_failed", "repeat_lookup_failed"],
  ...["message_failed", "message_refused", "queue_send_failed", "delivered_failed", "upload_end_failed"],
  ...["provider_failed", "provider_error", "provider_undelivered", "no_route_accepts"],
  ...["gate_unreachable", "gate_report_failed", "gate_send_failed", "gate_alarm_failed"],
  ...["image_refused", "storage_failed", "discard_failed", "upload_abort_failed", "upload_remove_failed"],
  ...["keep_reference_failed", "delete_reference_failed", "references_lookup_failed", "mcp_image_failed"],
  ...["finish_failed", "renew_failed", "lease_lapsed", "generation_expired", "alarm_lost", "outbox_failed"],
  ...["webhook_interrupted", "webhooks_unread", "notice_failed", "notices_unread", "signup_credits_failed"],
  ...["signup_credits_waiting"],
  ...["stream_failed", "answer_broken", "sign_in_library", "check_up_failed", "incident_lost"],
  ...[
    "fact_unknown",
    "page_part_failed",
    "rendition_failed",
    "account_restarted",
    "retention_failed",
    "user_erase_failed",
  ],
  ...["purchase_unknown", "purchase_shortfall", "checkout_failed", "receipt_failed"],
] as const;

/** The level of each event that is not `log`. The table of events in docs/operations.md has the same levels. */
const LEVELS = new Map<string, "error" | "warn">([
  ...ERRORS.map((event) => [event, "error"] as const),
  ...WARNINGS.map((event) => [event, "warn"] as const),
]);

/**
 * Logs one JSON line, at the level of its event. Log only ids, codes, counts and times: never a key, a prompt, an image,
 * a header or a body.
 */
export function log(
  event: string,
  fields: Record<string, string | number | boolean | null | undefined>,
): void {
  console[LEVELS.get(event) ?? "log"](JSON.stringify({ event, ...fields }));
}

/**
 * Describes a caught value for {@link log}. Uses the root cause of a wrapped error: the wrapper of a failed query lists
 * the query's values, which include prompts and e-mail addresses.
 */
export function describe(error: unknown): string {
  const root = rootOf(error);
  return (root instanceof Error ? `${root.name}: ${root.message}` : String(root)).slice(
    0,
    DESCRIPTION_LENGTH_MAX,
  );
}

const DESCRIPTION_LENGTH_MAX = 500;

function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < 8 && root instanceof Error && root.cause !== undefined; depth++)
    root = root.cause;
  return root;
}
