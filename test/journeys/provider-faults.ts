import { GATEWAY_REFUSALS, OTHER_FAULTS, REFUSALS } from "../support/openai-double/faults.ts";

/**
 * What becomes of a generation of {@link IMAGES_ASKED} images under each fault of the provider, with three calls
 * allowed. The journey holds the product to it, and docs/provider-failures.md is written from it.
 */
export type FaultRow = {
  fault: string;
  /** What upstream sent, for the document; refusals are told from the double's own data. */
  sent: string;
  ends: Ending;
  /** How many images each call asks for: as many calls as numbers. */
  asks: readonly number[];
  images: number;
  /** The last line of the provider in the log. */
  logged: { event: "provider_call" | "provider_misconfigured" | "provider_undelivered"; outcome: string };
  /** The wait before another call that upstream asks for, in milliseconds. */
  retryAfterMs: number;
  /** Whether it gives nothing, not even an id of the call, for as long as it is waited for. */
  silence: "never answers" | "stops answering" | null;
  /** Whether the fault turns a call away for the rate: in the journey it does so once. */
  isLimited?: boolean;
};

type Ending = "succeeded" | "generationFailed" | "contentPolicyViolation" | "unreadableReference";

export const IMAGES_ASKED = 3;
/** Of `gpt-image-2` at 1K. */
export const PRICE = 8;

/** Tried three times, and then given up. */
const RETRIED = [3, 3, 3];
/** Tried once more: each try may have been paid for. */
const TWICE = [3, 3];
const ONCE = [3];

export const FAULT_ROWS: readonly FaultRow[] = [
  refused("moderation-input"),
  refused("moderation-output"),
  refused("content-policy"),
  refused("azure-content-filter"),
  refused("azure-camel-case"),
  refused("azure-inner-error"),
  refused("litellm-policy"),
  refused("litellm-policy-500"),
  refused("openrouter-moderation"),
  refused("openrouter-raw"),
  unreadable("bad-image"),
  unreadable("litellm-bad-image"),
  failed("bad-size", "invalid"),
  failed("unknown-parameter", "invalid"),
  failed("400-billing", "misconfigured"),
  failed("401", "misconfigured"),
  failed("403", "misconfigured"),
  failed("404-model", "misconfigured"),
  failed("408", "unavailable"),
  failed("409", "unavailable"),
  failed("429-quota", "misconfigured"),
  failed("429-credit-balance", "misconfigured"),
  failed("429-project-limit", "misconfigured"),
  failed("429-organization-limit", "misconfigured"),
  failed("429-usage-limit", "misconfigured"),
  limited("429-rate-limit"),
  limited("429-rate-limit-ms"),
  limited("429-rate-limit-date"),
  limited("429-slow-down"),
  failed("500", "unavailable"),
  limited("503"),
  failed("502-html", "unavailable", { sent: "502 with a page of HTML" }),
  failed("504", "timeout"),
  failed("522-html", "timeout", { sent: "522 with a page of HTML" }),
  failed("524-html", "timeout", { sent: "524 with a page of HTML" }),
  failed("redirect", "misconfigured", {
    sent: "307 to another address (not followed: it would get the key)",
  }),
  failed("stall-headers", "timeout", {
    sent: "nothing, until `RUN_DEADLINE_SECONDS` was nearly over",
    asks: ONCE,
    silence: "never answers",
  }),
  failed("reset-headers", "unavailable", { sent: "a connection that breaks before any answer" }),
  failed("truncated", "undelivered", { sent: "200 whose JSON ends inside the first image" }),
  succeeded("malformed", { sent: "200 with every image, then what is no JSON" }),
  succeeded("trailing-garbage", { sent: "200 with every image, then text after the JSON" }),
  failed("bad-base64", "undelivered", { sent: "200 whose first image is not base64" }),
  failed("empty-image", "undelivered", { sent: "200 with images of no bytes" }),
  failed("not-image", "succeeded", { sent: "200 with base64 of text where images stand" }),
  failed("gif", "succeeded", { sent: "200 with images of a format that nobody asked for" }),
  failed("cut-image", "succeeded", { sent: "200 with images that are cut off in the middle" }),
  failed("empty-data", "undelivered", { sent: "200 with an empty list of images" }),
  failed("no-data", "undelivered", { sent: "200 without a list of images" }),
  failed("null-image", "undelivered", { sent: "200 with `null` for each image" }),
  succeeded("too-few", { sent: "200 with one image less than asked", images: IMAGES_ASKED - 1 }),
  succeeded("too-many", { sent: "200 with two images more than asked" }),
  { ...refused("error-in-200"), sent: "200 whose JSON holds a moderation error" },
  failed("status-in-200", "undelivered", { sent: "200 whose JSON holds an error of status 429" }),
  failed("stall-body", "undelivered", {
    sent: "200 that falls silent inside the first image, for 60 s",
    silence: "stops answering",
  }),
  failed("reset-body", "undelivered", { sent: "200 whose connection breaks inside the first image" }),
  succeeded("reset-after-1", {
    sent: "200 whose connection breaks after one image",
    asks: [3, 2],
    images: 2,
    logged: { event: "provider_undelivered", outcome: "undelivered" },
  }),
  succeeded("reset-after-2", { sent: "200 whose connection breaks after two images", asks: [3, 1] }),
  succeeded("reset-after-3", { sent: "200 whose connection breaks after three images" }),
  succeeded("slow-drip", { sent: "200 that comes in drops" }),
  succeeded("odd-json", { sent: "200 in the oddest JSON that is still JSON" }),
  succeeded("gzip", { sent: "200, compressed" }),
  succeeded("picture-url", { sent: "200 with addresses of the images, at its own origin" }),
  succeeded("picture-url-gone", {
    sent: "200 with an address at which there is no image, then images",
    asks: [3, 1],
    images: 2,
    logged: { event: "provider_undelivered", outcome: "undelivered" },
  }),
  succeeded("data-url", { sent: "200 with data URLs" }),
  succeeded("base64-lines", { sent: "200 with base64 in lines" }),
  succeeded("base64-unpadded", { sent: "200 with base64 without padding" }),
  succeeded("base64-url", { sent: "200 with base64 in the URL-safe alphabet" }),
  succeeded("byte-order-mark", { sent: "200 with a byte order mark before the JSON" }),
  succeeded("event-stream", { sent: "200 with server-sent events" }),
];

/** Every fault that the double knows, so that a new one cannot be forgotten in the table. */
export const FAULTS = [...Object.keys(REFUSALS), ...Object.keys(GATEWAY_REFUSALS), ...OTHER_FAULTS];

/** HTTP status and error code of a sync call that ends so. */
export function answerOf({ ends }: FaultRow): { status: number; code: string | null } {
  switch (ends) {
    case "succeeded":
      return { status: 200, code: null };
    case "generationFailed":
      return { status: 500, code: ends };
    case "contentPolicyViolation":
    case "unreadableReference":
      return { status: 400, code: ends };
  }
}

function refused(fault: string): FaultRow {
  return { ...failed(fault, "refused"), ends: "contentPolicyViolation" };
}

function unreadable(fault: string): FaultRow {
  return { ...failed(fault, "unreadable"), ends: "unreadableReference" };
}

/** How many images each call asks for, of those that bring none. */
function asksAfter(outcome: string): number[] {
  if (outcome === "undelivered" || outcome === "timeout") return TWICE;
  return outcome === "unavailable" ? RETRIED : ONCE;
}

function eventOf(outcome: string): FaultRow["logged"]["event"] {
  if (outcome === "undelivered" || outcome === "timeout") return "provider_undelivered";
  return outcome === "misconfigured" ? "provider_misconfigured" : "provider_call";
}

function failed(fault: string, outcome: string, more: Partial<FaultRow> = {}): FaultRow {
  return {
    fault,
    sent: refusalSent(fault),
    ends: "generationFailed",
    asks: asksAfter(outcome),
    images: 0,
    logged: { event: eventOf(outcome), outcome },
    retryAfterMs: 0,
    silence: null,
    ...more,
  };
}

function succeeded(fault: string, more: Partial<FaultRow>): FaultRow {
  return { ...failed(fault, "succeeded"), ends: "succeeded", images: IMAGES_ASKED, ...more };
}

/** A call that is turned away is not an attempt: the generation waits, and is made when there is room. */
function limited(fault: string): FaultRow {
  return { ...succeeded(fault, {}), isLimited: true, asks: [IMAGES_ASKED, IMAGES_ASKED] };
}

function refusalSent(fault: string): string {
  const refusal = REFUSALS[fault] ?? GATEWAY_REFUSALS[fault];
  if (refusal === undefined) return "";
  const { status, headers, retryDateSeconds, error } = refusal;
  const name = error["code"] ?? error["type"] ?? null;
  const waits = Object.entries(headers).map(([header, value]) => `${header}: ${value}`);
  const date = retryDateSeconds === null ? [] : [`retry-after: a date ${retryDateSeconds} s away`];
  return [`${status} \`${name}\``, ...waits, ...date].join(", ");
}
