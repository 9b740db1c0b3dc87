import type {
  CreditBalance,
  CreditEntry,
  CreditGrant,
  Estimate,
  Generation,
  GenerationFilter,
  GenerationRequest,
  Image,
  Model,
  OwnKey,
  Reference,
  UsageFilter,
  UsageReport,
  WebhookDelivery,
  WebhookSecret,
} from "./api.ts";
import { ConnectionError, GenerationError } from "./errors.ts";
import { follow, isEnded } from "./events.ts";
import { read, retryAfterMs, sendWithRetries, sleep, toError } from "./http.ts";
import { nativeFile, nativeSignal } from "./native.ts";
import type { Fetch, File, Signal } from "./platform.ts";

const MAX_RETRIES = 4;
/** How long the service waits for the end of a generation before it answers a poll. Proxies may cut longer requests. */
const WAIT_SECONDS = 25;
/** The pause between two polls of a service that does not wait. */
const POLL_MS = 2_000;
const PAGE_LIMIT = 100;

export type ClientOptions = {
  apiKey: string;
  /** Scheme and host of the service, such as `https://hub.example.org`. */
  baseUrl: string;
  /** How often a request is retried after no response or a temporary failure. 4 by default. */
  maxRetries?: number | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: Fetch | undefined;
};

export type CallOptions = {
  /** Aborts the call. A generation that was accepted continues. */
  signal?: Signal | undefined;
};

export type SubmitOptions = CallOptions & {
  /** PNG, JPEG or WebP, at most 50 MB each. */
  references?: readonly File[] | undefined;
  /** Random by default. A repeated key returns the generation that it created, and is not charged again. */
  idempotencyKey?: string | undefined;
};

export type WaitOptions = CallOptions & {
  /** Called with the generation after each poll. */
  onProgress?: ((generation: Generation) => void) | undefined;
};

/** Every method throws a {@link HubError} for an error response, and a {@link ConnectionError} without a response. */
export type Client = {
  /** Submits a generation, and returns when it is accepted and charged. @throws {HubError} */
  submit(request: GenerationRequest, options?: SubmitOptions): Promise<Generation>;
  /** The price of a request, and whether it can be paid now. Nothing is charged, and no reference is fetched. */
  estimate(request: GenerationRequest, options?: CallOptions): Promise<Estimate>;
  /** Waits for the end of a generation. @throws {GenerationError} if it did not succeed */
  wait(id: string, options?: WaitOptions): Promise<Generation>;
  /** Submits a generation and waits for its end. */
  generate(request: GenerationRequest, options?: SubmitOptions & WaitOptions): Promise<Generation>;
  /** The same, starting from images. */
  edit(
    images: readonly File[],
    request: GenerationRequest,
    options?: Omit<SubmitOptions, "references"> & WaitOptions,
  ): Promise<Generation>;
  get(id: string, options?: CallOptions): Promise<Generation>;
  /** All generations, newest first. Pages are requested as they are needed. */
  list(filter?: GenerationFilter, options?: CallOptions): AsyncGenerator<Generation, void>;
  /** Cancels a queued generation and refunds it. @throws {ConflictError} if it runs, or has ended otherwise */
  cancel(id: string, options?: CallOptions): Promise<Generation>;
  /** Deletes a generation that has ended, with its images, if it exists. @throws {ConflictError} if it has not ended */
  delete(id: string, options?: CallOptions): Promise<void>;
  /**
   * The generation at once and at each change of its status, until it ends. A broken stream is resumed.
   * @throws {ConnectionError} if it cannot be resumed
   */
  events(id: string, options?: CallOptions): AsyncGenerator<Generation, void>;
  /** The bytes of an image. */
  download(image: Image, options?: CallOptions): Promise<Uint8Array>;
  models(options?: CallOptions): Promise<Model[]>;
  credits(options?: CallOptions): Promise<CreditBalance>;
  /** What the key of this client may do, and what it has spent. */
  key(options?: CallOptions): Promise<OwnKey>;
  /** Generations, images and credits by day, key and model, of the last 30 days by default. */
  usage(filter?: UsageFilter, options?: CallOptions): Promise<UsageReport["data"]>;
  /** All changes of the balance, newest first. */
  entries(options?: CallOptions): AsyncGenerator<CreditEntry, void>;
  /** All grants, newest first. */
  grants(options?: CallOptions): AsyncGenerator<CreditGrant, void>;
  /** Uploads a PNG, JPEG or WebP of at most 50 MB, whose id requests can list in `reference_images` for 24 hours. */
  uploadReference(image: File, options?: CallOptions): Promise<Reference>;
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

/** @throws {TypeError} for a key or a base URL that no request can be sent with */
export function createClient({
  apiKey,
  baseUrl,
  maxRetries = MAX_RETRIES,
  fetch: send = fetch,
}: ClientOptions): Client {
  if (!/^[\x21-\x7e]+$/.test(apiKey))
    throw new TypeError("apiKey must be an API key: gih_live_… or gih_test_…");
  const api = apiOf(baseUrl);
  const call = (path: string, init: RequestInit = {}, retries = maxRetries) => {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${apiKey}`);
    return sendWithRetries(() => send(api + path, { ...init, headers }), retries, init.signal);
  };
  const get = <T>(path: string, { signal }: CallOptions = {}) =>
    call(path, { signal: nativeSignal(signal) }).then(read<T>);
  const post = <T>(path: string, { signal }: CallOptions = {}, retries = maxRetries) =>
    call(path, { method: "POST", signal: nativeSignal(signal) }, retries).then(read<T>);
  const remove = async (path: string, { signal }: CallOptions = {}) => {
    const response = await call(path, { method: "DELETE", signal: nativeSignal(signal) });
    // A retry finds that the first attempt deleted it.
    if (!response.ok && response.status !== 404) throw await toError(response);
    await response.body?.cancel();
  };
  async function* listed<T>(path: string, query: object, options?: CallOptions) {
    const parameters = new URLSearchParams({ limit: String(PAGE_LIMIT) });
    for (const [name, value] of Object.entries(query)) {
      if (typeof value === "string") parameters.set(name, value);
      else
        for (const [label, text] of Object.entries(value ?? {}))
          parameters.set(`${name}[${label}]`, String(text));
    }
    for (let cursor: string | null = ""; cursor !== null; ) {
      if (cursor !== "") parameters.set("cursor", cursor);
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
        signal: nativeSignal(signal),
      }).then(read<Generation>);
    },
    async estimate(request, { signal } = {}) {
      const headers = { "Content-Type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(request), signal: nativeSignal(signal) };
      return await call("/images/estimate", init).then(read<Estimate>);
    },
    async wait(id, { onProgress, signal } = {}) {
      for (;;) {
        const headers = { Prefer: `wait=${WAIT_SECONDS}` };
        const response = await call(pathOf(id), { headers, signal: nativeSignal(signal) });
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
    edit: (images, request, options) => client.generate(request, { ...options, references: images }),
    get: (id, options) => get<Generation>(pathOf(id), options),
    list: (filter, options) => listed<Generation>("/generations", filter ?? {}, options),
    delete: (id, options) => remove(pathOf(id), options),
    cancel: (id, options) => post<Generation>(`${pathOf(id)}/cancel`, options),
    events: (id, { signal } = {}) =>
      follow(
        (headers) => call(`${pathOf(id)}/events`, { headers, signal: nativeSignal(signal) }),
        maxRetries,
        signal,
      ),
    async download({ url, bytes }, { signal } = {}) {
      // Without the key: an image's URL is public, and may be at another host.
      const response = await sendWithRetries(
        () => send(url, { signal: nativeSignal(signal) }),
        maxRetries,
        signal,
      );
      if (!response.ok) throw new ConnectionError(`The image could not be read: status ${response.status}.`);
      const content = new Uint8Array(await response.arrayBuffer());
      if (content.length !== bytes) throw new ConnectionError("The image came in part only.");
      return content;
    },
    models: async (options) => (await get<{ data: Model[] }>("/models", options)).data,
    credits: (options) => get<CreditBalance>("/credits", options),
    key: (options) => get<OwnKey>("/key", options),
    async usage(filter = {}, options = {}) {
      const given = Object.entries(filter).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      );
      return (await get<UsageReport>(`/usage?${new URLSearchParams(given)}`, options)).data;
    },
    entries: (options) => listed<CreditEntry>("/credits/entries", {}, options),
    grants: (options) => listed<CreditGrant>("/credits/grants", {}, options),
    async uploadReference(image, { signal } = {}) {
      const headers = { "Content-Type": image.type || "application/octet-stream" };
      const init = { method: "POST", headers, body: nativeFile(image), signal: nativeSignal(signal) };
      return await call("/references", init).then(read<Reference>);
    },
    deleteReference: (id, options) => remove(`/references/${encodeURIComponent(id)}`, options),
    webhookSecret: (options) => get<WebhookSecret>("/webhooks/secret", options),
    rotateWebhookSecret: (options) => post<WebhookSecret>("/webhooks/secret/rotate", options, 0),
    deliveries: async (id, options) =>
      (await get<{ data: WebhookDelivery[] }>(`${pathOf(id)}/deliveries`, options)).data,
    resendWebhook: async (id, options) =>
      (await post<{ data: WebhookDelivery[] }>(`${pathOf(id)}/deliveries`, options)).data,
  };
  return client;
}

/** The base URL of the API. One that already ends in its path is accepted. */
function apiOf(baseUrl: string): string {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : null;
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new TypeError(
      `baseUrl must begin with https:// or http://, such as https://hub.example.org: ${baseUrl}`,
    );
  return `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/api\/v1$/, "")}/api/v1`;
}

type Page<T> = { data: T[]; next_cursor: string | null };

function pathOf(id: string): string {
  return `/generations/${encodeURIComponent(id)}`;
}

/** A form with the fields as text and the references as files. It can be sent several times. */
function formOf(request: GenerationRequest, references: readonly File[]): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries({ ...request, async: true })) {
    if (value !== undefined)
      form.append(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  references.forEach((reference, index) => {
    form.append("reference_image", nativeFile(reference), `reference-${index + 1}`);
  });
  return form;
}
