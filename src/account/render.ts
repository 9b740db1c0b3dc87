import type { Config } from "../config.ts";
import { isEnded, isLive } from "./lifecycle.ts";
import type { GenerationRecord } from "./views.ts";

/** A generation in JSON, as the API and webhooks show it. */

/** The public words for the failures of a generation. */
export const FAILURE_MESSAGES = {
  generationFailed: "The images could not be generated. The credits were returned.",
  contentPolicyViolation:
    "The provider refused the prompt or a reference image under its content policy. The credits were returned.",
  unreadableReference: "The provider could not read a reference image. The credits were returned.",
} as const;

/** A generation as the API shows it, with the URL to poll while it has not ended. */
export function renderGeneration(record: GenerationRecord, config: Config) {
  const ended = isEnded(record);
  return {
    object: "image_generation",
    id: record.id,
    livemode: isLive(record),
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
      credits_requested: record.test?.credits ?? record.creditsCharged,
      credits_charged: record.creditsCharged,
      credits_refunded: record.creditsRefunded,
    },
    ...(record.metadata === undefined ? {} : { metadata: record.metadata }),
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

/** The URL of an image of the generation. It can be read without a key. */
export function imageUrl(record: GenerationRecord, key: string, config: Config): string {
  return `${config.IMAGES_BASE_URL ?? `${record.origin}/images`}/${key}`;
}

export type WaitingRecord = Pick<GenerationRecord, "status" | "slotAt" | "createdAt">;

/** The seconds until a queued generation's turn comes, about; null when that is unknown. */
export function estimatedWaitSeconds({ status, slotAt }: WaitingRecord, now: number): number | null {
  if (status !== "queued" || slotAt === undefined || slotAt === null) return null;
  return Math.max(0, Math.ceil((slotAt - now) / 1000));
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
