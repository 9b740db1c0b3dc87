import { isEnded } from "../../account/lifecycle.ts";
import type { Balance } from "../../account/outcomes.ts";
import type { GenerationRecord } from "../../account/views.ts";
import type { Config } from "../../config.ts";
import type { AccountType } from "../../users/users.ts";
import { FAILURE_MESSAGES } from "../errors.ts";

/** While a generation waits for its turn. */
const POLL_SECONDS_QUEUED = { min: 2, max: 60 };
/** While it is made. Most images take about a minute, which is nine polls: docs/cost.md counts them. */
const POLL_SECONDS_WORKING = { min: 5, max: 10 };

type Unfinished = Pick<GenerationRecord, "status" | "slotAt" | "createdAt">;

/**
 * The seconds after which to poll an unfinished generation again, as a `Retry-After` header: until its turn comes, or
 * half of the time that has passed.
 */
export function pollAfterSeconds(record: Unfinished, now: number): string {
  const wait = estimatedWaitSeconds(record, now);
  const halfElapsed = Math.ceil((now - record.createdAt) / 2000);
  const { min, max } = wait === null ? POLL_SECONDS_WORKING : POLL_SECONDS_QUEUED;
  return String(Math.min(Math.max(wait ?? halfElapsed, min), max));
}

/** The seconds until a queued generation's turn comes, about; null when that is unknown. */
function estimatedWaitSeconds({ status, slotAt }: Unfinished, now: number): number | null {
  if (status !== "queued" || slotAt === undefined || slotAt === null) return null;
  return Math.max(0, Math.ceil((slotAt - now) / 1000));
}

/** Milliseconds since 1970, as the API writes a time. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function renderBalance(balance: Balance, accountType: AccountType) {
  return {
    credits: balance.credits,
    account_type: accountType,
    next_expiration: balance.nextExpiration === null ? null : isoTime(balance.nextExpiration),
  };
}

/** A generation as the API shows it, with where to look again while it has not ended. */
export function renderGeneration(record: GenerationRecord, config: Config) {
  const ended = isEnded(record);
  return {
    object: "image_generation",
    id: record.id,
    status: record.status,
    model: record.model,
    aspect_ratio: record.aspectRatio,
    quality: record.tier,
    created_at: isoTime(record.createdAt),
    ...(record.endedAt === null ? {} : { completed_at: isoTime(record.endedAt) }),
    images: record.images.map((image) => ({
      id: image.id,
      object: "image",
      url: imageUrl(record, image.key, config),
      created_at: isoTime(image.createdAt),
      width: image.width,
      height: image.height,
      content_type: image.contentType,
      bytes: image.bytes,
    })),
    usage: {
      credits: ended ? record.creditsCharged - record.creditsRefunded : 0,
      credits_requested: record.creditsCharged,
      credits_charged: record.creditsCharged,
      credits_refunded: record.creditsRefunded,
    },
    ...(record.error === null
      ? {}
      : { error: { message: FAILURE_MESSAGES[record.error], code: record.error } }),
    ...(record.status === "queued"
      ? { estimated_wait_seconds: estimatedWaitSeconds(record, Date.now()) }
      : {}),
    ...(ended ? {} : { poll_url: pollUrl(record) }),
  };
}

export function pollUrl(record: GenerationRecord): string {
  return `${record.origin}/api/v1/generations/${record.id}`;
}

/** Where an image of the generation is read: it needs no key. */
export function imageUrl(record: GenerationRecord, key: string, config: Config): string {
  return `${config.IMAGES_BASE_URL ?? `${record.origin}/images`}/${key}`;
}
