import type { ImageOptions, OutputFormat } from "../catalogue/options.ts";

/**
 * The interface of a provider. Each provider is a folder beside this file. It knows nothing of credits, storage or HTTP
 * clients.
 */

/** One call: the options of the generation, and the fields of this call. */
export type ImageRequest = ImageOptions & {
  /** For logs, here and at the provider. */
  generationId: string;
  /** The provider's own name for the model. */
  providerModel: string;
  /** How many images to generate. */
  n: number;
  /** How many images of this generation exist already. The new ones must differ from them. */
  offset: number;
};

/** A reference image. `open` reads it from storage, as often as the provider needs it. */
export type Reference = {
  contentType: "image/png" | "image/jpeg" | "image/webp";
  bytes: number;
  open(): Promise<ReadableStream<Uint8Array>>;
};

/** What is known of a reference before it is read. 0 bytes: its size is not known yet. */
export type ReferenceSize = Pick<Reference, "bytes">;

/** One image as it arrives. The code that stores it detects format, width and height from the bytes. */
export type ProvidedImage = { body: ReadableStream<Uint8Array> };

/**
 * Why a provider returned no (further) image.
 * - `refused`: its content policy rejected the request. Never retried.
 * - `unreadable`: it cannot read a reference. Never retried.
 * - `invalid`: it rejects the request that we sent. Never retried.
 * - `limited`: it turned the call away because of its rate or concurrency limit. Not an attempt: the call waits its
 *   turn.
 * - `unavailable`: it is down, or could not be reached. Retried, not before `retryAfterMs`.
 * - `timeout`: it, or a gateway in front of it, did not respond in time. It may have generated and billed images.
 * - `undelivered`: it may have generated and billed images that did not arrive: the response broke off or stalled, or
 *   has no usable image. As with `timeout`, another call may pay twice.
 * - `misconfigured`: our account, key or billing at the provider. Never retried; an operator must act.
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

/** Thrown by {@link Provider.generate} and by the bodies it yields. `detail` is for the log, never for a client. */
export class ProviderError extends Error {
  override readonly name = "ProviderError";
  readonly failure: ProviderFailure;

  constructor(failure: ProviderFailure, detail: string) {
    super(detail);
    this.failure = failure;
  }
}

/**
 * Keeps what a polled provider needs to find the work of a call again, so that a run that takes over polls on instead of
 * buying the images again.
 */
type ProviderTask = {
  /**
   * What an earlier run of the same generation saved with the same provider, or null. With it, the call is no attempt,
   * and buys nothing: images that it does not find are `undelivered`.
   */
  readonly saved: string | null;
  /**
   * Stores `state`, at most 4,096 characters, in place of what was saved. Call it before the first poll,
   * and whenever the state changes.
   * @throws when it cannot be stored: do not poll, the work would be lost at the next crash
   */
  save(state: string): Promise<void>;
};

/** Receives pictures of an image that is not finished. They are shown to a waiting client, never stored or charged. */
export interface PartialPictures {
  /** How many to make of each image: 1 to 3. */
  readonly count: number;
  /**
   * Whether there is room for the next picture. Ask before one is made or read: only one is in memory at a time. Waits
   * for a limited time until the one before has been sent.
   */
  hasRoom(): Promise<boolean>;
  /**
   * Sends a picture in the background, without an error. Drops what is not a whole PNG, JPEG or WebP of at most
   * {@link PARTIAL_BYTES_MAX}.
   * @param index from 0, for each image
   */
  send(index: number, picture: Uint8Array): void;
}

/** Several times a partial picture of 1024 x 1024. */
export const PARTIAL_BYTES_MAX = 8 * 1024 * 1024;

export interface Provider {
  /** The supported formats. A request for another one is refused before any charge. */
  readonly formats: readonly OutputFormat[];
  /**
   * Whether its inputs can express the request, with these references. Without this method, they can express every
   * request of its models.
   */
  accepts?(options: ImageOptions, references: readonly ReferenceSize[], providerModel: string): boolean;
  /**
   * Generates up to `request.n` images, and yields each as soon as its first bytes arrive. Read a body to its end (or
   * cancel it) before you request the next image. Ends early when the provider has no more: a complete response with
   * fewer images than requested is not an error.
   * @throws {ProviderError} from the iteration, or as the error of a body
   */
  generate(
    request: ImageRequest,
    options: {
      references: readonly Reference[];
      signal: AbortSignal;
      /** Called with the provider's stated limit, in images per minute. */
      onLimit?: (perMinute: number) => void;
      /** For providers that are polled. Others ignore it. */
      task?: ProviderTask;
      /** Left out when nobody waits for partial pictures. Providers that make none ignore it. */
      partials?: PartialPictures | undefined;
    },
  ): AsyncIterable<ProvidedImage>;
}
