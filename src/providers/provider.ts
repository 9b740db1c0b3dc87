import type { ImageOptions, OutputFormat } from "../catalogue/options.ts";

/**
 * The port through which the service asks for pictures. A provider is a folder beside this file; it knows nothing of
 * credits, storage or HTTP callers.
 */

/** One call: options of the generation, and what is particular to the call. */
export type ImageRequest = ImageOptions & {
  /** For the provider's logs, and as a seed. */
  generationId: string;
  /** The provider's own name for the model. */
  providerModel: string;
  /** How many images this call is to make. */
  n: number;
  /** How many images of this generation exist already: the new ones must differ from those. */
  offset: number;
};

/** A reference image, read from storage when the provider wants it and as often as it wants it. */
export type Reference = {
  contentType: "image/png" | "image/jpeg" | "image/webp";
  bytes: number;
  open(): Promise<ReadableStream<Uint8Array>>;
};

/** One image as it arrives. Its format and its width and height are told from the bytes by whoever stores it. */
export type ProvidedImage = { body: ReadableStream<Uint8Array> };

/**
 * Why a provider gave no (further) image.
 * - `refused`: its content policy was the reason. Never retried.
 * - `unreadable`: it cannot read a reference. Never retried.
 * - `invalid`: it does not accept the request as we sent it. Never retried.
 * - `limited`: it turned the call away for its rate or concurrency. Not an attempt: the call waits for its turn.
 * - `unavailable`: it is down, or was not reached. Retried, not before `retryAfterMs`.
 * - `timeout`: it, or a gateway before it, gave no answer in time. It may have made and billed images.
 * - `undelivered`: it may have made and billed images that did not arrive: an answer that breaks off or stalls, or one
 *   without a usable image. Like `timeout`, another call may pay twice.
 * - `misconfigured`: our account, key or billing there. Never retried; an operator must act.
 */
export type ProviderFailure =
  | { reason: "refused" }
  | { reason: "unreadable" }
  | { reason: "invalid" }
  | { reason: "limited"; by: "rate" | "concurrency"; retryAfterMs: number | null }
  | { reason: "unavailable"; retryAfterMs: number | null }
  | { reason: "timeout" }
  | { reason: "undelivered" }
  | { reason: "misconfigured" };

/** Thrown by {@link Provider.generate} and by the bodies it yields. `detail` is for the log, never for a caller. */
export class ProviderError extends Error {
  override readonly name = "ProviderError";
  readonly failure: ProviderFailure;

  constructor(failure: ProviderFailure, detail: string) {
    super(detail);
    this.failure = failure;
  }
}

export interface Provider {
  /** The formats it can make; another one is refused at the door, before any charge. */
  readonly formats: readonly OutputFormat[];
  /**
   * Makes up to `request.n` images, each yielded as soon as its first bytes are there. A body must be read to its end
   * (or cancelled) before the next image is asked for. Ends early when the provider has no more: a whole answer with
   * fewer images than asked is not an error.
   * @throws {ProviderError} from the iteration, or as the error of a body.
   */
  generate(
    request: ImageRequest,
    options: {
      references: readonly Reference[];
      signal: AbortSignal;
      /** Called with the images a minute that the provider states to allow. */
      onLimit?: (perMinute: number) => void;
    },
  ): AsyncIterable<ProvidedImage>;
}
