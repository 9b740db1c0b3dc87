/** A client for the GPT Image Hub API. No dependencies: it needs only `fetch` (Node 20, browsers, Deno, Workers). */

export type GenerationRequest = {
  model: string;
  prompt: string;
  /** `auto`, or `WIDTHxHEIGHT` in pixels. */
  size?: string | undefined;
  /** `auto`, `low`, `medium` or `high`. */
  quality?: string | undefined;
  aspect_ratio?: string | undefined;
  /** `1K`, `2K` or `4K`. */
  resolution?: string | undefined;
  n?: number | undefined;
  output_format?: "png" | "jpeg" | "webp" | undefined;
  /** 0 to 100, for jpeg and webp. */
  output_compression?: number | undefined;
  background?: "auto" | "opaque" | undefined;
  moderation?: "auto" | "low" | undefined;
  user?: string | undefined;
  /** Ids of uploaded references, https URLs or data URLs. Not together with files in `references`. */
  reference_images?: string[] | undefined;
  /** Called when the generation ends. */
  webhook_url?: string | undefined;
};

export type Image = {
  id: string;
  object: "image";
  url: string;
  created_at: string;
  width: number;
  height: number;
  content_type: "image/png" | "image/jpeg" | "image/webp";
  bytes: number;
};

export type Generation = {
  object: "image_generation";
  id: string;
  /** False for a generation of a test key. */
  livemode: boolean;
  status: "queued" | "processing" | "succeeded" | "failed" | "canceled";
  model: string;
  aspect_ratio: string;
  quality: "1K" | "2K" | "4K";
  created_at: string;
  completed_at?: string | undefined;
  images: Image[];
  usage: {
    credits: number;
    credits_requested: number;
    credits_charged: number;
    credits_refunded: number;
  };
  error?:
    | { message: string; code: "generationFailed" | "contentPolicyViolation" | "unreadableReference" }
    | undefined;
  /** While `queued`: the estimated seconds until the generation starts; null when unknown. */
  estimated_wait_seconds?: number | null | undefined;
  poll_url?: string | undefined;
};

export type CreditBalance = {
  object: "credit_balance";
  credits: number;
  account_type: "FREE" | "PRO";
  next_expiration: string | null;
};

export type ClientOptions = {
  apiKey: string;
  /** Scheme and host of the service. */
  baseUrl: string;
  /** How often a request is retried after no response or a temporary failure. */
  maxRetries?: number;
  fetch?: typeof fetch;
};

export type SubmitOptions = {
  /** PNG, JPEG or WebP, at most 50 MB each. */
  references?: readonly Blob[];
  /** Random by default. A repeated key returns the generation that it created, and is not charged again. */
  idempotencyKey?: string;
  signal?: AbortSignal;
};

export type WaitOptions = {
  /** Called with the generation after each poll. */
  onProgress?: (generation: Generation) => void;
  /** The time between two polls, unless the service requests a longer one. */
  pollMs?: number;
  signal?: AbortSignal;
};

export type Client = {
  /** Submits a generation, and returns when it is accepted and charged. @throws {HubError} */
  submit(request: GenerationRequest, options?: SubmitOptions): Promise<Generation>;
  /** Waits for the end of a generation. @throws {GenerationError} if it did not succeed */
  wait(id: string, options?: WaitOptions): Promise<Generation>;
  /** Submits a generation and waits for its end. */
  generate(request: GenerationRequest, options?: SubmitOptions & WaitOptions): Promise<Generation>;
  /** The bytes of an image. */
  download(image: Image, options?: { signal?: AbortSignal }): Promise<Uint8Array>;
  credits(): Promise<CreditBalance>;
};

/** An error response of the service. `message` is for people, `code` for programs. */
export class HubError extends Error {
  override readonly name: string = "HubError";
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly requestId: string | null;

  constructor(status: number, { code, message, param, request_id }: ErrorBody) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.requestId = request_id;
  }
}

/** A field of the request is invalid; `param` names it. */
export class InvalidRequestError extends HubError {
  override readonly name = "InvalidRequestError";
}

/** The API key is missing, invalid, revoked or expired. */
export class AuthenticationError extends HubError {
  override readonly name = "AuthenticationError";
}

export class NotFoundError extends HubError {
  override readonly name = "NotFoundError";
}

/** The idempotency key was used for another request, or the current state does not allow the call. */
export class ConflictError extends HubError {
  override readonly name = "ConflictError";
}

export class InsufficientCreditsError extends HubError {
  override readonly name = "InsufficientCreditsError";
  readonly required: number;
  readonly available: number;

  constructor(status: number, body: ErrorBody) {
    super(status, body);
    this.required = body.required ?? 0;
    this.available = body.available ?? 0;
  }
}

/** All retries were rate limited. Nothing was charged. */
export class RateLimitError extends HubError {
  override readonly name = "RateLimitError";
}

/** The service failed, or was unavailable for all retries. */
export class ServiceError extends HubError {
  override readonly name = "ServiceError";
}

/** No response, for all retries. Submit with the same idempotency key to get the generation, if there is one. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** A generation ended without images. It was refunded. */
export class GenerationError extends Error {
  override readonly name = "GenerationError";
  readonly generation: Generation;

  constructor(generation: Generation) {
    super(generation.error?.message ?? `The generation was ${generation.status}.`);
    this.generation = generation;
  }
}

const MAX_RETRIES = 4;
const POLL_MS = 2_000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8_000;
/** The longest wait before a retry, even if `Retry-After` is longer. */
const RETRY_AFTER_MS_MAX = 60_000;

export function createClient({
  apiKey,
  baseUrl,
  maxRetries = MAX_RETRIES,
  fetch: send = fetch,
}: ClientOptions): Client {
  const api = `${baseUrl.replace(/\/+$/, "")}/api/v1`;
  const call = (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${apiKey}`);
    return sendWithRetries(() => send(api + path, { ...init, headers }), maxRetries, init.signal);
  };
  const client: Client = {
    async submit(request, { references = [], idempotencyKey = crypto.randomUUID(), signal } = {}) {
      const headers: Record<string, string> = { "Idempotency-Key": idempotencyKey };
      if (references.length === 0) headers["Content-Type"] = "application/json";
      const body =
        references.length === 0 ? JSON.stringify({ ...request, async: true }) : formOf(request, references);
      return await call("/images/generations", {
        method: "POST",
        headers,
        body,
        signal: signal ?? null,
      }).then(read<Generation>);
    },
    async wait(id, { onProgress, pollMs = POLL_MS, signal } = {}) {
      for (;;) {
        const response = await call(`/generations/${encodeURIComponent(id)}`, { signal: signal ?? null });
        const asked = retryAfterMs(response);
        const generation = await read<Generation>(response);
        onProgress?.(generation);
        if (generation.status === "succeeded") return generation;
        if (generation.status === "failed" || generation.status === "canceled")
          throw new GenerationError(generation);
        await sleep(Math.max(pollMs, asked ?? 0), signal);
      }
    },
    async generate(request, options = {}) {
      const { id } = await client.submit(request, options);
      return await client.wait(id, options);
    },
    async download({ url, bytes }, { signal } = {}) {
      // Without the key: an image's URL is public, and may be at another host.
      const response = await sendWithRetries(() => send(url, { signal: signal ?? null }), maxRetries, signal);
      if (!response.ok) throw new ConnectionError(`The image could not be read: status ${response.status}.`);
      const content = new Uint8Array(await response.arrayBuffer());
      if (content.length !== bytes) throw new ConnectionError("The image came in part only.");
      return content;
    },
    async credits() {
      return await call("/credits").then(read<CreditBalance>);
    },
  };
  return client;
}

type ErrorBody = {
  code: string;
  message: string;
  param: string | null;
  request_id: string | null;
  required?: number;
  available?: number;
};

/** A form with the fields as text and the references as files. It can be sent several times. */
function formOf(request: GenerationRequest, references: readonly Blob[]): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...request, async: true })) {
    if (value !== undefined) form.append(name, String(value));
  }
  references.forEach((reference, index) => {
    form.append("reference_image", reference, `reference-${index + 1}`);
  });
  return form;
}

/**
 * Sends a request until it succeeds or fails permanently. Every request here is safe to repeat: reads change nothing, and
 * a submission has one idempotency key for all its attempts.
 */
async function sendWithRetries(
  send: () => Promise<Response>,
  maxRetries: number,
  signal: AbortSignal | null | undefined,
): Promise<Response> {
  for (let retry = 0; ; retry++) {
    const outcome = await send().catch(
      (error: unknown) => new ConnectionError("The service did not respond.", { cause: error }),
    );
    signal?.throwIfAborted();
    const isLast = retry >= maxRetries;
    if (outcome instanceof ConnectionError) {
      if (isLast) throw outcome;
    } else if (isLast || !mayRetry(outcome.status)) {
      return outcome;
    } else {
      await outcome.body?.cancel();
    }
    const asked = outcome instanceof ConnectionError ? null : retryAfterMs(outcome);
    await sleep(asked ?? backoffMs(retry), signal);
  }
}

function mayRetry(status: number): boolean {
  return status === 429 || status >= 500;
}

/** Back-off that doubles, with jitter of half, so that clients that failed together do not retry together. */
function backoffMs(retry: number): number {
  return (0.5 + Math.random() / 2) * Math.min(RETRY_FIRST_MS * 2 ** retry, RETRY_LAST_MS);
}

function retryAfterMs(response: Response): number | null {
  const seconds = response.headers.get("Retry-After");
  if (seconds === null || !/^\d{1,6}$/.test(seconds)) return null;
  return Math.min(Number(seconds) * 1000, RETRY_AFTER_MS_MAX);
}

async function read<T>(response: Response): Promise<T> {
  if (!response.ok) throw await toError(response);
  const body: T = await response.json();
  return body;
}

async function toError(response: Response): Promise<HubError> {
  const { status } = response;
  const body = await errorBodyOf(response);
  switch (body.code) {
    case "insufficientCredits":
      return new InsufficientCreditsError(status, body);
    case "missingApiKey":
    case "invalidApiKey":
    case "expiredApiKey":
      return new AuthenticationError(status, body);
    case "notFound":
      return new NotFoundError(status, body);
    case "rateLimited":
      return new RateLimitError(status, body);
    case "conflict":
    case "notCancelable":
    case "idempotencyMismatch":
      return new ConflictError(status, body);
    default:
      return status < 500 ? new InvalidRequestError(status, body) : new ServiceError(status, body);
  }
}

/** The error in a response. A gateway in between may return another form. */
async function errorBodyOf(response: Response): Promise<ErrorBody> {
  const unknown: ErrorBody = {
    code: "unknown",
    message: `The answer had status ${response.status}.`,
    param: null,
    request_id: response.headers.get("X-Request-Id"),
  };
  try {
    const body: { error?: Partial<ErrorBody> } | null = await response.json();
    return { ...unknown, ...body?.error };
  } catch {
    return unknown;
  }
}

function sleep(milliseconds: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
