/** One attempt to deliver a webhook. Times in milliseconds since 1970. */
export type WebhookAttempt = {
  /** From 1. */
  attempt: number;
  sentAt: number;
  /** Null when no answer came. */
  status: number | null;
  error: "timeout" | "connection_failed" | null;
  /** Null when no attempt follows. */
  nextAttemptAt: number | null;
};

/** The webhook of an ended generation. */
export type Webhook = {
  generationId: string;
  livemode: boolean;
  url: string;
  type: string;
  /** Sent as it is in every attempt. */
  body: string;
  /** All attempts so far, those that a client requested included. */
  attempts: number;
  /** Failed attempts since the schedule began. */
  failures: number;
  /** The latest attempts, newest first. */
  latest: readonly WebhookAttempt[];
  ended: boolean;
  /** When the alarm handles it next: to send it, or to delete it after it has ended. */
  dueAt: number;
};

/** The secret that signs, and the one before it until that expires. */
export type WebhookSecrets = { secret: string; previous: { secret: string; expiresAt: number } | null };

type WebhookRow = {
  generation_id: string;
  livemode: number;
  url: string;
  type: string;
  body: string;
  attempts: number;
  failures: number;
  latest: string;
  ended: number;
  due_at: number;
};

type SecretRow = { secret: string; previous: string | null; previous_expires_at: number | null };

/** Reads and writes webhooks and their secrets. Writes belong inside the object's transaction. */
export class WebhookStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  get(generationId: string): Webhook | null {
    const [row] = this.#sql.exec<WebhookRow>("SELECT * FROM webhooks WHERE generation_id = ?", generationId);
    return row ? toWebhook(row) : null;
  }

  /** Writes a new webhook, or replaces the one of the same generation. */
  put(webhook: Webhook): void {
    const row = toRow(webhook);
    const columns = Object.keys(row);
    const places = columns.map(() => "?").join(", ");
    this.#sql.exec(
      `INSERT OR REPLACE INTO webhooks (${columns.join(", ")}) VALUES (${places})`,
      ...Object.values(row),
    );
  }

  /** Webhooks that are due, the earliest first: those to send, or those to delete. */
  due(ended: boolean, now: number, limit: number): Webhook[] {
    return this.#sql
      .exec<WebhookRow>(
        "SELECT * FROM webhooks WHERE ended = ? AND due_at <= ? ORDER BY due_at LIMIT ?",
        ...[ended ? 1 : 0, now, limit],
      )
      .toArray()
      .map(toWebhook);
  }

  /** When the next webhook is due, to be sent or to be deleted; null when there is none. */
  nextDue(ended: boolean): number | null {
    return this.#sql
      .exec<{ due: number | null }>("SELECT min(due_at) AS due FROM webhooks WHERE ended = ?", ended ? 1 : 0)
      .one().due;
  }

  /** How many webhooks have failed at least that often in a row and are still being sent. */
  countFailing(failures: number): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM webhooks WHERE ended = 0 AND failures >= ?",
        failures,
      )
      .one().count;
  }

  delete(generationId: string): void {
    this.#sql.exec("DELETE FROM webhooks WHERE generation_id = ?", generationId);
  }

  secrets(livemode: boolean): WebhookSecrets | null {
    const [row] = this.#sql.exec<SecretRow>(
      "SELECT secret, previous, previous_expires_at FROM webhook_secrets WHERE livemode = ?",
      livemode ? 1 : 0,
    );
    if (!row) return null;
    const { secret, previous, previous_expires_at: expiresAt } = row;
    return {
      secret,
      previous: previous === null || expiresAt === null ? null : { secret: previous, expiresAt },
    };
  }

  putSecrets(livemode: boolean, { secret, previous }: WebhookSecrets): void {
    this.#sql.exec(
      `INSERT OR REPLACE INTO webhook_secrets (livemode, secret, previous, previous_expires_at)
       VALUES (?, ?, ?, ?)`,
      ...[livemode ? 1 : 0, secret, previous?.secret ?? null, previous?.expiresAt ?? null],
    );
  }
}

function toWebhook(row: WebhookRow): Webhook {
  const latest: WebhookAttempt[] = JSON.parse(row.latest);
  return {
    generationId: row.generation_id,
    livemode: row.livemode === 1,
    url: row.url,
    type: row.type,
    body: row.body,
    attempts: row.attempts,
    failures: row.failures,
    latest,
    ended: row.ended === 1,
    dueAt: row.due_at,
  };
}

function toRow(webhook: Webhook): WebhookRow {
  return {
    generation_id: webhook.generationId,
    livemode: webhook.livemode ? 1 : 0,
    url: webhook.url,
    type: webhook.type,
    body: webhook.body,
    attempts: webhook.attempts,
    failures: webhook.failures,
    latest: JSON.stringify(webhook.latest),
    ended: webhook.ended ? 1 : 0,
    due_at: webhook.dueAt,
  };
}
