/** Signatures of Standard Webhooks 1.0.0, with symmetric keys: HMAC-SHA256. */

const PREFIX = "whsec_";
/** The standard asks for 24 to 64 bytes. */
const SECRET_BYTES = 32;

/** A new secret, as receivers configure it: `whsec_` and the key in base64. */
export function newWebhookSecret(): string {
  return `${PREFIX}${Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64")}`;
}

/**
 * The headers that identify and sign one attempt.
 * @param secrets of which each signs; receivers accept any
 * @param id the same for every attempt
 * @param sentAt the time of this attempt, in milliseconds since 1970
 */
export async function signedHeaders(
  secrets: readonly string[],
  id: string,
  sentAt: number,
  body: string,
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(sentAt / 1000));
  const content = `${id}.${timestamp}.${body}`;
  const signatures = await Promise.all(secrets.map((secret) => signature(secret, content)));
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

async function signature(secret: string, content: string): Promise<string> {
  const bytes = Buffer.from(secret.slice(PREFIX.length), "base64");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  const signed = await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content));
  return `v1,${Buffer.from(signed).toString("base64")}`;
}
