import type { Config } from "../config.ts";
import { describe, log } from "../log.ts";
import type { Point } from "../metrics.ts";
import { ATTEMPT_MS_MAX, deliver } from "../webhooks/deliver.ts";
import { nextAttemptAt, outcomeOf, type WebhookAnswer } from "../webhooks/schedule.ts";
import { newWebhookSecret, signedHeaders } from "../webhooks/sign.ts";
import { type Generation, isLive, KEEP_MS } from "./lifecycle.ts";
import { renderGeneration } from "./render.ts";
import { type Webhook, type WebhookAttempt, type WebhookSecrets, WebhookStore } from "./store/webhooks.ts";
import { recordOf } from "./views.ts";

/**
 * Attempts at once in one account. A Worker has at most six connections that wait for an answer, and the log and the
 * queue need some while receivers are slow (https://developers.cloudflare.com/workers/platform/limits/).
 */
const ATTEMPTS_AT_ONCE = 4;
/** When the alarm sends a webhook again whose attempt was interrupted by a crash: its answer can no longer come. */
const INTERRUPTED_AFTER_MS = 2 * ATTEMPT_MS_MAX;
/** How many attempts of a webhook are listed. */
const LISTED_MAX = 50;
/** After this many failures in a row, a webhook counts as failing: the schedule takes five minutes for them. */
const FAILING_FAILURES = 3;
/** Deletions are due on the hour, so that one alarm deletes many. */
const HOUR_MS = 3_600_000;
/** The most webhooks that one alarm deletes. */
const DELETED_MAX = 50;
/** How long the secret before the current one signs, too. */
const ROTATION_MS = 86_400_000;

/** An attempt, as the list of deliveries shows it. */
export type Delivery = WebhookAttempt & { webhookId: string; type: string };

type Access = {
  sql: SqlStorage;
  userId: () => string;
  config: () => Config;
  /** Runs the work in one transaction. */
  commit: <T>(work: (now: number) => T) => T;
  /** Inside a transaction: makes sure that the alarm fires by then. */
  armFor: (time: number) => void;
  measure: (point: Point) => void;
};

/**
 * The webhooks of an account's generations. A webhook is written in the transaction that ends its generation, and due a
 * moment later, so the alarm sends it if the first attempt is lost. Attempts run beside everything else that the
 * account does: nothing waits for a receiver.
 */
export class Webhooks {
  readonly #access: Access;
  readonly #store: WebhookStore;
  /** The generations whose webhook is being sent. */
  readonly #sending = new Set<string>();

  constructor(access: Access) {
    this.#access = access;
    this.#store = new WebhookStore(access.sql);
  }

  /**
   * Inside the transaction that ends a generation: writes its webhook, if it has one, and sends it after the commit.
   */
  add(generation: Generation, now: number): void {
    const { id, status, request } = generation;
    if (request.webhookUrl === undefined) return;
    const type = `generation.${status}`;
    const data = renderGeneration(recordOf(generation), this.#access.config());
    this.#send(
      {
        generationId: id,
        livemode: isLive(request),
        url: request.webhookUrl,
        type,
        body: JSON.stringify({ type, timestamp: new Date(now).toISOString(), data }),
        attempts: 0,
        failures: 0,
        latest: [],
        ended: false,
        dueAt: now,
      },
      now,
    );
  }

  /** Inside a transaction: deletes a generation's webhook, sent or not. An attempt under way changes nothing more. */
  drop(generationId: string): void {
    this.#store.delete(generationId);
  }

  /**
   * Sends due webhooks, within the limit of parallel attempts, and deletes those that ended a day ago. It never throws.
   */
  handleDue(): void {
    try {
      const next = this.nextDue(Date.now());
      if (next === null || next > Date.now()) return;
      this.#access.commit((now) => {
        const free = ATTEMPTS_AT_ONCE - this.#sending.size;
        for (const webhook of free > 0 ? this.#store.due(false, now, free) : []) this.#send(webhook, now);
        for (const { generationId } of this.#store.due(true, now, DELETED_MAX))
          this.#store.delete(generationId);
      });
    } catch (error) {
      log("webhook_interrupted", { user_id: this.#access.userId(), error: describe(error) });
    }
  }

  /** When the alarm is needed next, or null. */
  nextDue(now: number): number | null {
    const toSend = this.#store.nextDue(false);
    const toDelete = this.#store.nextDue(true);
    // At the limit of parallel attempts, the end of one sends the next. The alarm only covers a crash.
    const isFull = this.#sending.size >= ATTEMPTS_AT_ONCE;
    const times = [
      ...(toSend === null ? [] : [isFull ? Math.max(toSend, now + INTERRUPTED_AFTER_MS) : toSend]),
      ...(toDelete === null ? [] : [toDelete]),
    ];
    return times.length === 0 ? null : Math.min(...times);
  }

  /** How many webhooks have failed for at least five minutes, and are still being sent. */
  countFailing(): number {
    return this.#store.countFailing(FAILING_FAILURES);
  }

  /**
   * The latest attempts for a generation, newest first; null when it has no webhook, or has not ended.
   * @param livemode its mode; null for either
   */
  deliveries(generationId: string, livemode: boolean | null): Delivery[] | null {
    const webhook = this.#find(generationId, livemode);
    if (!webhook) return null;
    const { type, latest } = webhook;
    return latest.map((attempt) => ({ ...attempt, type, webhookId: webhookIdOf(generationId) }));
  }

  /** Sends a webhook again now and begins the schedule anew, unless it is being sent. Returns the attempts so far. */
  resend(generationId: string, livemode: boolean | null): Delivery[] | null {
    this.#access.commit((now) => {
      const webhook = this.#find(generationId, livemode);
      if (!webhook || this.#sending.has(generationId)) return;
      this.#send({ ...webhook, failures: 0, ended: false, dueAt: now }, now);
    });
    return this.deliveries(generationId, livemode);
  }

  #find(generationId: string, livemode: boolean | null): Webhook | null {
    const webhook = this.#store.get(generationId);
    return webhook !== null && (livemode === null || webhook.livemode === livemode) ? webhook : null;
  }

  /** The secrets of a mode. The first call creates one. */
  secrets(livemode: boolean): WebhookSecrets {
    return this.#access.commit((now) => {
      const known = this.#store.secrets(livemode);
      if (known) return { ...known, previous: unexpired(known.previous, now) };
      const created = { secret: newWebhookSecret(), previous: null };
      this.#store.putSecrets(livemode, created);
      return created;
    });
  }

  /** Creates a new secret. The current one becomes the previous one, and signs for 24 hours more. */
  rotate(livemode: boolean): WebhookSecrets {
    const { secret } = this.secrets(livemode);
    return this.#access.commit((now) => {
      const previous = { secret, expiresAt: now + ROTATION_MS };
      const rotated = { secret: newWebhookSecret(), previous };
      this.#store.putSecrets(livemode, rotated);
      return rotated;
    });
  }

  /**
   * Inside a transaction: makes an attempt after the commit, or leaves the webhook due at the limit of parallel
   * attempts.
   */
  #send(webhook: Webhook, now: number): void {
    const isSending = this.#sending.has(webhook.generationId);
    const isFree = this.#sending.size < ATTEMPTS_AT_ONCE;
    const dueAt = isSending || isFree ? now + INTERRUPTED_AFTER_MS : now;
    this.#store.put({ ...webhook, dueAt });
    this.#access.armFor(dueAt);
    if (isSending || !isFree) return;
    this.#sending.add(webhook.generationId);
    // A microtask runs after the transaction. If that was rolled back, the webhook is not as it was written.
    queueMicrotask(() => void this.#attempt(webhook.generationId, dueAt));
  }

  async #attempt(generationId: string, dueAt: number): Promise<void> {
    try {
      const webhook = this.#store.get(generationId);
      if (!webhook || webhook.ended || webhook.dueAt !== dueAt) return;
      const { secret, previous } = this.secrets(webhook.livemode);
      const secrets = previous === null ? [secret] : [secret, previous.secret];
      const sentAt = Date.now();
      const headers = await signedHeaders(secrets, webhookIdOf(generationId), sentAt, webhook.body);
      const answer = await deliver(webhook.url, headers, webhook.body);
      const point = this.#access.commit((now) => this.#record(webhook, answer, sentAt, now));
      if (point !== null) this.#access.measure(point);
    } catch (error) {
      // The alarm sends it again.
      const ids = { user_id: this.#access.userId(), generation_id: generationId };
      log("webhook_interrupted", { ...ids, error: describe(error) });
    } finally {
      this.#sending.delete(generationId);
    }
    // Sends the webhooks that became due while the limit was reached.
    this.handleDue();
  }

  /**
   * Inside a transaction: writes down an attempt. @returns the data point of the webhook, if this was its last attempt
   */
  #record(webhook: Webhook, answer: WebhookAnswer, sentAt: number, now: number): Point | null {
    if (this.#store.get(webhook.generationId) === null) return null;
    const attempt = webhook.attempts + 1;
    const { status, error } = answer;
    const next = nextAttemptAt(webhook.failures, answer, now);
    const made: WebhookAttempt = { attempt, sentAt, status, error, nextAttemptAt: next };
    // No earlier than the generation itself: both are kept for a day after their end.
    const dueAt = next ?? Math.ceil((now + KEEP_MS) / HOUR_MS) * HOUR_MS;
    this.#store.put({
      ...webhook,
      attempts: attempt,
      failures: next === null ? webhook.failures : webhook.failures + 1,
      latest: [made, ...webhook.latest].slice(0, LISTED_MAX),
      ended: next === null,
      dueAt,
    });
    this.#access.armFor(dueAt);
    const ids = { user_id: this.#access.userId(), generation_id: webhook.generationId };
    log("webhook_attempt", { ...ids, attempt, status, error, ms: now - sentAt, ended: next === null });
    if (next !== null) return null;
    return {
      kind: "webhook",
      labels: {
        ...{
          outcome: outcomeOf(answer),
          type: webhook.type,
          status: String(status ?? ""),
          error: error ?? "",
        },
        livemode: String(webhook.livemode),
      },
      values: { attempts: attempt, ms: now - sentAt },
    };
  }
}

/** The same for every attempt, so that receivers can ignore repeats: a generation has one event. */
function webhookIdOf(generationId: string): string {
  return generationId.replace(/^gen_/, "msg_");
}

function unexpired(previous: WebhookSecrets["previous"], now: number): WebhookSecrets["previous"] {
  return previous === null || previous.expiresAt <= now ? null : previous;
}
