import { ProviderError } from "../provider.ts";

/** Writes one log line. Its fields contain no prompt, key, URL or upstream text. */
export type Log = (event: string, fields: Record<string, string | number | null>) => void;

/** Upstream text that has the form of a name or an id. Any other text could contain a prompt, and is not logged. */
export function printable(text: string | null, shape: RegExp): string | null {
  return text !== null && shape.test(text) ? text : null;
}

/** How a call ended. A reader that gets a broken body leaves the iteration, and so does one that wants no more images. */
export function outcomeOf(broken: unknown, ended: boolean): string {
  if (broken === null) return ended ? "succeeded" : "canceled";
  return broken instanceof ProviderError ? broken.failure.reason : "crashed";
}

/** Failures that need an operator, and calls that may have been paid without images, have their own events. */
export function eventOf(outcome: string): string {
  if (outcome === "misconfigured") return "provider_misconfigured";
  return outcome === "undelivered" || outcome === "timeout" ? "provider_undelivered" : "provider_call";
}
