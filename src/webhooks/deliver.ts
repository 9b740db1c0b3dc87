import type { WebhookAnswer } from "./schedule.ts";

/** How long a receiver may take to answer. */
export const ATTEMPT_MS_MAX = 15_000;

/**
 * Sends a webhook once. Redirects are not followed: only the webhook's own address was checked. The body of the
 * answer is not read. It never throws.
 * @param milliseconds how long the receiver may take to answer
 */
export async function deliver(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  milliseconds = ATTEMPT_MS_MAX,
): Promise<WebhookAnswer> {
  const signal = AbortSignal.timeout(milliseconds);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "User-Agent": "GPT-Image-Hub", ...headers },
      body,
      redirect: "manual",
      signal,
    });
    // Closes the connection. An error of a body that nobody reads changes nothing.
    await response.body?.cancel().catch(() => null);
    return { status: response.status, error: null, retryAfter: response.headers.get("Retry-After") };
  } catch {
    return { status: null, error: signal.aborted ? "timeout" : "connection_failed", retryAfter: null };
  }
}
