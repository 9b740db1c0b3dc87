import { GATEWAY_REFUSALS, OTHER_FAULTS, REFUSALS } from "../support/openai-double/faults.ts";

/**
 * The result of a generation of {@link IMAGES_ASKED} images under each provider fault, with three calls allowed. The
 * journey tests the service against it, and docs/provider-failures.md is generated from it.
 */
export type FaultRow = {
  fault: string;
  /** The upstream's response, for the document; refusals come from the double's own data. */
  sent: string;
  ends: Ending;
  /** How many images each call requests; one number per call. */
  asks: readonly number[];
  images: number;
  /** The last provider line in the log. */
  logged: { event: "provider_call" | "provider_misconfigured" | "provider_undelivered"; outcome: string };
  /** The wait that the upstream requests, in milliseconds. */
  retryAfterMs: number;
  /** Whether the upstream stops responding, before or during the response. */
  silence: "never answers" | "stops answering" | null;
  /** Whether the fault turns a call away because of the rate limit. In the journey it does so once. */
  isLimited?: boolean;
};

type Ending = "succeeded" | "generationFailed" | "contentPolicyViolation" | "unreadableReference";

export const IMAGES_ASKED = 3;
/** The price of `gpt-image-2` at 1K. */
export const PRICE = 8;

/** Three attempts. */
const RETRIED = [3, 3, 3];
/** One retry: each attempt may have been billed. */
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
  failed("502-html", "unavailable", { sent: "502 with an HTML page" }),
  failed("504", "timeout"),
  failed("522-html", "timeout", { sent: "522 with an HTML page" }),
  failed("524-html", "timeout", { sent: "524 with an HTML page" }),
  failed("redirect", "misconfigured", {
    sent: "307 to another host (not followed, because it would get the key)",
  }),
  failed("stall-headers", "timeout", {
    sent: "nothing, until `RUN_DEADLINE_SECONDS` had nearly passed",
    asks: ONCE,
    silence: "never answers",
  }),
  failed("reset-headers", "unavailable", { sent: "a connection that breaks before any response" }),
  failed("truncated", "undelivered", { sent: "200 whose JSON ends inside the first image" }),
  succeeded("malformed", { sent: "200 with every image, then invalid JSON" }),
  succeeded("trailing-garbage", { sent: "200 with every image, then text after the JSON" }),
  failed("bad-base64", "undelivered", { sent: "200 whose first image is not base64" }),
  failed("empty-image", "undelivered", { sent: "200 with empty images" }),
  failed("not-image", "succeeded", { sent: "200 with base64 of text instead of images" }),
  failed("gif", "succeeded", { sent: "200 with images in an unsupported format (GIF)" }),
  failed("cut-image", "succeeded", { sent: "200 with truncated images" }),
  failed("empty-data", "undelivered", { sent: "200 with an empty list of images" }),
  failed("no-data", "undelivered", { sent: "200 without a list of images" }),
  failed("null-image", "undelivered", { sent: "200 with `null` for each image" }),
  succeeded("too-few", { sent: "200 with one image less than requested", images: IMAGES_ASKED - 1 }),
  succeeded("too-many", { sent: "200 with two images more than requested" }),
  { ...refused("error-in-200"), sent: "200 whose JSON has a moderation error" },
  failed("status-in-200", "undelivered", { sent: "200 whose JSON has an error with status 429" }),
  failed("stall-body", "undelivered", {
    sent: "200 that stalls inside the first image for 60 s",
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
  succeeded("slow-drip", { sent: "200 that arrives slowly" }),
  succeeded("odd-json", { sent: "200 with unusual but valid JSON" }),
  succeeded("gzip", { sent: "200, compressed" }),
  succeeded("picture-url", { sent: "200 with image URLs at its own origin" }),
  succeeded("picture-url-gone", {
    sent: "200 with an image URL that returns 404, then images",
    asks: [3, 1],
    images: 2,
    logged: { event: "provider_undelivered", outcome: "undelivered" },
  }),
  succeeded("data-url", { sent: "200 with data URLs" }),
  succeeded("base64-lines", { sent: "200 with base64 with line breaks" }),
  succeeded("base64-unpadded", { sent: "200 with base64 without padding" }),
  succeeded("base64-url", { sent: "200 with base64 in the URL-safe alphabet" }),
  succeeded("byte-order-mark", { sent: "200 with a byte order mark before the JSON" }),
  succeeded("event-stream", { sent: "200 with server-sent events" }),
];

/** Every fault of the double, so that the table cannot lack a new one. */
export const FAULTS = [...Object.keys(REFUSALS), ...Object.keys(GATEWAY_REFUSALS), ...OTHER_FAULTS];

/** HTTP status and error code of a sync call with this ending. */
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

/** How many images each call requests when none returns an image. */
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

/** A call that is turned away is not an attempt: the generation waits its turn. */
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
