import type { Generation, WebhookDelivery } from "./api.ts";
import { WebhookSignatureError } from "./errors.ts";

const WEBHOOK_AGE_SECONDS_MAX = 300;
/** The service sends at most two. */
const SIGNATURES_MAX = 10;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** The body of a webhook. */
export type WebhookEvent = {
  type: WebhookDelivery["type"];
  timestamp: string;
  data: Generation;
};

/** `Headers`, or an object with names in lower case, as Node's `request.headers`. */
export type WebhookHeaders =
  | { get(name: string): string | null }
  | { readonly [name: string]: string | readonly string[] | undefined };

export type WebhookOptions = {
  /** How old a webhook may be, in seconds. 300 by default. */
  toleranceSeconds?: number | undefined;
};

/**
 * Verifies a webhook, as Standard Webhooks 1.0.0 defines it, and returns its event. Signatures are compared in constant
 * time, by Web Crypto.
 * @param body the body as it arrived: parsing it changes it
 * @param secrets `whsec_…`, as `webhookSecret` returns it, or several: during a rotation, the old and the new one
 * @throws {WebhookSignatureError} if no signature is valid, or the time of the webhook is too far from now
 */
export async function verifyWebhook(
  body: string,
  headers: WebhookHeaders,
  secrets: string | readonly string[],
  { toleranceSeconds = WEBHOOK_AGE_SECONDS_MAX }: WebhookOptions = {},
): Promise<WebhookEvent> {
  const id = headerOf(headers, "webhook-id");
  const timestamp = headerOf(headers, "webhook-timestamp");
  const age = Date.now() / 1000 - Number(timestamp);
  if (!/^\d+$/.test(timestamp) || Math.abs(age) > toleranceSeconds)
    throw new WebhookSignatureError("The webhook has no timestamp, or an old one.");
  const signed = `${id}.${timestamp}.${body}`;
  const signatures = headerOf(headers, "webhook-signature").split(" ").slice(0, SIGNATURES_MAX);
  for (const secret of typeof secrets === "string" ? [secrets] : secrets) {
    if (!(await isSignedBy(secret, signed, signatures))) continue;
    const event: WebhookEvent = JSON.parse(body);
    return event;
  }
  throw new WebhookSignatureError("The webhook has no valid signature.");
}

function headerOf(headers: WebhookHeaders, name: string): string {
  const value = typeof headers.get === "function" ? headers.get(name) : Reflect.get(headers, name);
  return typeof value === "string" ? value : "";
}

async function isSignedBy(secret: string, signed: string, signatures: readonly string[]): Promise<boolean> {
  const encoded = secret.replace(/^whsec_/, "");
  if (!BASE64.test(encoded)) throw new TypeError("A secret must be whsec_ and base64.");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytesOf(encoded), algorithm, false, ["verify"]);
  const content = new TextEncoder().encode(signed);
  for (const signature of signatures) {
    const [version, code = ""] = signature.split(",");
    if (version !== "v1" || !BASE64.test(code)) continue;
    if (await crypto.subtle.verify("HMAC", key, bytesOf(code), content)) return true;
  }
  return false;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
