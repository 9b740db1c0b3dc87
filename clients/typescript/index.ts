/**
 * A client for the GPT Image Hub API. No dependencies: it needs only `fetch` and Web Crypto (Node 20, browsers, Deno,
 * Workers).
 */

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

export type CreditEntry = {
  object: "credit_entry";
  id: string;
  kind: "grant" | "charge" | "refund" | "expiry" | "reversal";
  /** Negative where credits were taken. */
  credits: number;
  balance_after: number;
  generation_id: string | null;
  grant_id: string;
  created_at: string;
};

export type CreditGrant = {
  object: "credit_grant";
  id: string;
  credits: number;
  /** The credits that are left. */
  remaining: number;
  expires_at: string | null;
  reason: string | null;
  created_at: string;
};

export type Reference = {
  id: string;
  object: "reference";
  content_type: "image/png" | "image/jpeg" | "image/webp";
  bytes: number;
  width: number;
  height: number;
  /** False for a reference of a test key. */
  livemode: boolean;
  /** Until then, requests can list the id. */
  expires_at: string;
};

export type WebhookSecret = {
  object: "webhook_secret";
  secret: string;
  /** Until then, the secret before this one signs, too. */
  previous_secret_expires_at: string | null;
};

export type WebhookDelivery = {
  object: "webhook_delivery";
  /** The same for every attempt. */
  webhook_id: string;
  type: WebhookEvent["type"];
  attempt: number;
  sent_at: string;
  response_status: number | null;
  error: "timeout" | "connection_failed" | null;
  next_attempt_at: string | null;
};

/** The body of a webhook. */
export type WebhookEvent = {
  type: "generation.succeeded" | "generation.failed" | "generation.canceled";
  timestamp: string;
  data: Generation;
};

export type GenerationFilter = {
  status?: Generation["status"];
  model?: string;
  /** ISO 8601 times. */
  created_after?: string;
  created_before?: string;
  idempotency_key?: string;
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

export type CallOptions = { signal?: AbortSignal };

export type WaitOptions = CallOptions & {
  /** Called with the generation after each poll. */
  onProgress?: (generation: Generation) => void;
};

/** Every method throws a {@link HubError} for an error response, and a {@link ConnectionError} without a response. */
export type Client = {
  /** Submits a generation, and returns when it is accepted and charged. @throws {HubError} */
  submit(request: GenerationRequest, options?: SubmitOptions): Promise<Generation>;
  /** Waits for the end of a generation. @throws {GenerationError} if it did not succeed */
  wait(id: string, options?: WaitOptions): Promise<Generation>;
  /** Submits a generation and waits for its end. */
  generate(request: GenerationRequest, options?: SubmitOptions & WaitOptions): Promise<Generation>;
  get(id: string, options?: CallOptions): Promise<Generation>;
  /** All generations, newest first. Pages are requested as they are needed. */
  list(filter?: GenerationFilter, options?: CallOptions): AsyncGenerator<Generation, void>;
  /** Cancels a queued generation and refunds it. @throws {ConflictError} if it runs, or has ended otherwise */
  cancel(id: string, options?: CallOptions): Promise<Generation>;
  /**
   * The generation at once and at each change of its status, until it ends. A broken stream is resumed.
   * @throws {ConnectionError} if it cannot be resumed
   */
  events(id: string, options?: CallOptions): AsyncGenerator<Generation, void>;
  /** The bytes of an image. */
  download(image: Image, options?: CallOptions): Promise<Uint8Array>;
  credits(options?: CallOptions): Promise<CreditBalance>;
  /** All changes of the balance, newest first. */
  entries(options?: CallOptions): AsyncGenerator<CreditEntry, void>;
  /** All grants, newest first. */
  grants(options?: CallOptions): AsyncGenerator<CreditGrant, void>;
  /** Uploads a PNG, JPEG or WebP of at most 50 MB, whose id requests can list in `reference_images` for 24 hours. */
  uploadReference(image: Blob, options?: CallOptions): Promise<Reference>;
  /** Deletes an uploaded reference, if it exists. */
  deleteReference(id: string, options?: CallOptions): Promise<void>;
  webhookSecret(options?: CallOptions): Promise<WebhookSecret>;
  /** Creates a new secret. The old one signs for 24 hours more. It is not retried: a second rotation would end it. */
  rotateWebhookSecret(options?: CallOptions): Promise<WebhookSecret>;
  /** The attempts to deliver the webhook of a generation, newest first. */
  deliveries(id: string, options?: CallOptions): Promise<WebhookDelivery[]>;
  /** Sends the webhook of an ended generation again. Returns the attempts before this one. */
  resendWebhook(id: string, options?: CallOptions): Promise<WebhookDelivery[]>;
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

/** The idempotency key was used for another request, or the current state does not allow the call (see `code`). */
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

/** A webhook whose signature is not valid, or too old. */
export class WebhookSignatureError extends Error {
  override readonly name = "WebhookSignatureError";
}

const MAX_RETRIES = 4;
/** How long the service waits for the end of a generation before it answers a poll. Proxies may cut longer requests. */
const WAIT_SECONDS = 25;
/** The pause between two polls of a service that does not wait. */
const POLL_MS = 2_000;
/** The service sends a comment every 15 s: a stream without bytes for this long is broken. */
const STREAM_SILENCE_MS_MAX = 40_000;
const WEBHOOK_AGE_SECONDS_MAX = 300;
const PAGE_LIMIT = 100;
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
  const call = (path: string, init: RequestInit = {}, retries = maxRetries) => {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${apiKey}`);
    return sendWithRetries(() => send(api + path, { ...init, headers }), retries, init.signal);
  };
  const get = <T>(path: string, { signal }: CallOptions = {}) =>
    call(path, { signal: signal ?? null }).then(read<T>);
  const post = <T>(path: string, { signal }: CallOptions = {}, retries = maxRetries) =>
    call(path, { method: "POST", signal: signal ?? null }, retries).then(read<T>);
  async function* listed<T>(path: string, query: Record<string, string>, options?: CallOptions) {
    for (let cursor: string | null = ""; cursor !== null; ) {
      const parameters = new URLSearchParams({ ...query, limit: `${PAGE_LIMIT}`, ...(cursor && { cursor }) });
      const page: Page<T> = await get<Page<T>>(`${path}?${parameters}`, options);
      yield* page.data;
      cursor = page.next_cursor;
    }
  }
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
    async wait(id, { onProgress, signal } = {}) {
      for (;;) {
        const headers = { Prefer: `wait=${WAIT_SECONDS}` };
        const response = await call(pathOf(id), { headers, signal: signal ?? null });
        const pauseMs = response.headers.has("Preference-Applied") ? 0 : (retryAfterMs(response) ?? POLL_MS);
        const generation = await read<Generation>(response);
        onProgress?.(generation);
        if (generation.status === "succeeded") return generation;
        if (isEnded(generation)) throw new GenerationError(generation);
        await sleep(pauseMs, signal);
      }
    },
    async generate(request, options = {}) {
      const { id } = await client.submit(request, options);
      return await client.wait(id, options);
    },
    get: (id, options) => get<Generation>(pathOf(id), options),
    list: (filter, options) => listed<Generation>("/generations", { ...filter }, options),
    cancel: (id, options) => post<Generation>(`${pathOf(id)}/cancel`, options),
    events: (id, { signal } = {}) =>
      follow(
        (headers) => call(`${pathOf(id)}/events`, { headers, signal: signal ?? null }),
        maxRetries,
        signal,
      ),
    async download({ url, bytes }, { signal } = {}) {
      // Without the key: an image's URL is public, and may be at another host.
      const response = await sendWithRetries(() => send(url, { signal: signal ?? null }), maxRetries, signal);
      if (!response.ok) throw new ConnectionError(`The image could not be read: status ${response.status}.`);
      const content = new Uint8Array(await response.arrayBuffer());
      if (content.length !== bytes) throw new ConnectionError("The image came in part only.");
      return content;
    },
    credits: (options) => get<CreditBalance>("/credits", options),
    entries: (options) => listed<CreditEntry>("/credits/entries", {}, options),
    grants: (options) => listed<CreditGrant>("/credits/grants", {}, options),
    async uploadReference(image, { signal } = {}) {
      const headers = { "Content-Type": image.type || "application/octet-stream" };
      const init = { method: "POST", headers, body: image, signal: signal ?? null };
      return await call("/references", init).then(read<Reference>);
    },
    async deleteReference(id, { signal } = {}) {
      const init = { method: "DELETE", signal: signal ?? null };
      const response = await call(`/references/${encodeURIComponent(id)}`, init);
      // A retry finds that the first attempt deleted it.
      if (!response.ok && response.status !== 404) throw await toError(response);
      await response.body?.cancel();
    },
    webhookSecret: (options) => get<WebhookSecret>("/webhooks/secret", options),
    rotateWebhookSecret: (options) => post<WebhookSecret>("/webhooks/secret/rotate", options, 0),
    deliveries: async (id, options) =>
      (await get<{ data: WebhookDelivery[] }>(`${pathOf(id)}/deliveries`, options)).data,
    resendWebhook: async (id, options) =>
      (await post<{ data: WebhookDelivery[] }>(`${pathOf(id)}/deliveries`, options)).data,
  };
  return client;
}

/**
 * Verifies a webhook, as Standard Webhooks 1.0.0 defines it, and returns its event.
 * @param body the body as it arrived: parsing it changes it
 * @param secret `whsec_…`, as `webhookSecret` returns it
 * @throws {WebhookSignatureError} if no signature is valid, or the webhook was sent more than five minutes ago
 */
export async function verifyWebhook(body: string, headers: Headers, secret: string): Promise<WebhookEvent> {
  const timestamp = headers.get("webhook-timestamp") ?? "";
  const age = Date.now() / 1000 - Number(timestamp);
  if (!/^\d+$/.test(timestamp) || Math.abs(age) > WEBHOOK_AGE_SECONDS_MAX)
    throw new WebhookSignatureError("The webhook has no timestamp, or an old one.");
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", bytesOf(secret.replace(/^whsec_/, "")), algorithm, false, [
    "verify",
  ]);
  const signed = new TextEncoder().encode(`${headers.get("webhook-id")}.${timestamp}.${body}`);
  for (const signature of (headers.get("webhook-signature") ?? "").split(" ")) {
    const [version, code = ""] = signature.split(",");
    if (version !== "v1" || !/^[\w+/]+=*$/.test(code)) continue;
    if (await crypto.subtle.verify("HMAC", key, bytesOf(code), signed)) {
      const event: WebhookEvent = JSON.parse(body);
      return event;
    }
  }
  throw new WebhookSignatureError("The webhook has no valid signature.");
}

type Page<T> = { data: T[]; next_cursor: string | null };

function pathOf(id: string): string {
  return `/generations/${encodeURIComponent(id)}`;
}

function isEnded({ status }: Generation): boolean {
  return status === "succeeded" || status === "failed" || status === "canceled";
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/**
 * Follows a stream of events until the generation ends. After a break it opens the stream again, which then begins with
 * the current state: one that was already returned is skipped.
 */
async function* follow(
  open: (headers: Record<string, string>) => Promise<Response>,
  maxRetries: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Generation, void> {
  let lastEventId = "";
  for (let breaks = 0; ; breaks++) {
    const resumed: Record<string, string> = lastEventId === "" ? {} : { "Last-Event-ID": lastEventId };
    const response = await open({ Accept: "text/event-stream", ...resumed });
    if (!response.ok) throw await toError(response);
    const stream = eventsIn(response, signal);
    try {
      for (;;) {
        const event = await stream.next().catch(() => null);
        signal?.throwIfAborted();
        if (event === null || event.done) break;
        if (event.value.id === lastEventId) continue;
        lastEventId = event.value.id;
        breaks = 0;
        const generation: Generation = JSON.parse(event.value.data);
        yield generation;
        if (isEnded(generation)) return;
      }
    } finally {
      await stream.return();
    }
    if (breaks >= maxRetries) throw new ConnectionError("The stream of events broke.");
    await sleep(backoffMs(breaks), signal);
  }
}

/** The events of a stream. Throws when it breaks, is silent for too long, or `signal` is aborted. */
async function* eventsIn(
  { body }: Response,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ id: string; data: string }, void> {
  if (body === null) return;
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (let text = ""; ; ) {
      const { done, value } = await within(STREAM_SILENCE_MS_MAX, reader.read(), signal);
      if (done) return;
      const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = blocks.pop() ?? "";
      for (const block of blocks) {
        const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
        const data = field("data");
        if (data !== undefined) yield { id: field("id") ?? "", data };
      }
    }
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** Rejects when the promise takes longer, or when `signal` is aborted. */
async function within<T>(
  milliseconds: number,
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const settled = new AbortController();
  const end = signal ? AbortSignal.any([signal, settled.signal]) : settled.signal;
  const late = sleep(milliseconds, end).then(() => {
    throw new ConnectionError("The stream is silent.");
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    settled.abort();
  }
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
 * Sends a request until it succeeds or fails permanently. Every request that is retried is safe to repeat: a submission
 * has one idempotency key for all its attempts, and canceling or deleting twice has the effect of once.
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
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop, { once: true });
  });
}
