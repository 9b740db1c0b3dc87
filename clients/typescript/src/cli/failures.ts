import {
  AuthenticationError,
  ConnectionError,
  ForbiddenError,
  GenerationError,
  HubError,
  InsufficientCreditsError,
  InvalidRequestError,
  RateLimitError,
} from "../errors.ts";
import { UsageError } from "./arguments.ts";

/** Exit codes for scripts. They are part of the interface: a new meaning gets a new number. */
const EXIT = {
  failed: 1,
  usage: 2,
  key: 3,
  credits: 4,
  refused: 5,
  temporary: 6,
  interrupted: 130,
} as const;

export function exitCodeOf(error: unknown, signal: AbortSignal): number {
  if (signal.aborted) return EXIT.interrupted;
  if (error instanceof UsageError) return EXIT.usage;
  if (error instanceof AuthenticationError || error instanceof ForbiddenError) return EXIT.key;
  if (error instanceof InsufficientCreditsError) return EXIT.credits;
  if (error instanceof InvalidRequestError)
    return error.code === "contentPolicyViolation" ? EXIT.refused : EXIT.usage;
  if (error instanceof GenerationError) {
    switch (error.generation.error?.code) {
      case "contentPolicyViolation":
        return EXIT.refused;
      case "unreadableReference":
        return EXIT.usage;
      case "generationFailed":
      case undefined:
        return EXIT.failed;
    }
  }
  const isTemporary = error instanceof RateLimitError || error instanceof ConnectionError;
  if (isTemporary || (error instanceof HubError && error.status === 503)) return EXIT.temporary;
  return EXIT.failed;
}

/** The failure in one line. */
export function explain(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return "interrupted";
  if (error instanceof HubError) {
    const id = error.requestId === null ? "" : ` (${error.requestId})`;
    return `${error.code}: ${error.message}${id}`;
  }
  if (error instanceof GenerationError) {
    const { id, status, error: failure } = error.generation;
    return `${failure?.code ?? status}: ${error.message} (${id})`;
  }
  return error instanceof Error ? error.message : String(error);
}
