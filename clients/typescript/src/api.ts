// Generated from public/openapi.json by `npm run openapi`. Do not edit.

export type GenerationRequest = {
  /** The id of a model, as the list of models has it. */
  model: string;
  /** A description of the image. */
  prompt: string;
  /** `auto`, or `WIDTHxHEIGHT` in pixels. The number of pixels decides the price. */
  size?: string | undefined;
  /** How much effort the provider spends. `1K`, `2K` and `4K` set the `resolution` instead. */
  quality?: "auto" | "low" | "medium" | "high" | "1K" | "2K" | "4K" | (string & {}) | undefined;
  /** The shape of the image, instead of `size`. */
  aspect_ratio?: "auto" | "1:1" | "4:3" | "3:4" | "3:2" | "2:3" | "16:9" | "9:16" | "5:4" | "4:5" | "21:9" | "9:21" | "2:1" | "1:2" | "3:1" | "1:3" | "1:4" | "4:1" | "1:8" | "8:1" | (string & {}) | undefined;
  /** The resolution of the image, instead of `size`. It decides the price. */
  resolution?: "1K" | "2K" | "4K" | (string & {}) | undefined;
  /** The number of images. Each one has the same price. */
  n?: number | undefined;
  /** The format of the images. Without it, the first of the model's `supported_output_formats`, or the provider's own choice. */
  output_format?: "png" | "jpeg" | "webp" | (string & {}) | undefined;
  /** The compression level, for `jpeg` and `webp` only. */
  output_compression?: number | undefined;
  /** The background of the images. */
  background?: "auto" | "opaque" | (string & {}) | undefined;
  /** How strictly the provider filters content. */
  moderation?: "auto" | "low" | (string & {}) | undefined;
  /** The most that the generation may cost. A higher price is refused, and nothing is charged. */
  max_credits?: number | undefined;
  /** Your own labels, such as {"project": "website"}: at most 16 texts of at most 512 characters, with names of at most 64. They are shown with the generation, and lists can be filtered by them. In a form, a JSON object as text. */
  metadata?: Record<string, string> | undefined;
  /** An https URL that is called when the generation ends. It must not name a private, loopback or link-local address, or have a user name. */
  webhook_url?: string | undefined;
  /** Your id of your own user. The provider gets only a hash of it. */
  user?: string | undefined;
  /** Reference images, each as the id of an uploaded reference, an https URL, or a data URL in base64. */
  reference_images?: string[] | undefined;
};

export type GenerationFilter = {
  /** Only generations with this status. */
  status?: "queued" | "processing" | "succeeded" | "failed" | "canceled" | (string & {}) | undefined;
  /** Only generations of this model. */
  model?: string | undefined;
  /** Only generations created after this time. */
  created_after?: string | undefined;
  /** Only generations created before this time. */
  created_before?: string | undefined;
  /** Only the generation that was created with this idempotency key. */
  idempotency_key?: string | undefined;
  /** Only generations with these labels: `metadata[project]=website`. A page looks at up to 1,000 generations, so it may have fewer than `limit`, or none, and `has_more` be true. */
  metadata?: Record<string, string> | undefined;
};

export type UsageFilter = {
  /** The first day, in UTC. The default is 30 days in all, up to `to`. */
  from?: string | undefined;
  /** The last day, in UTC; today by default. At most 366 days in all. */
  to?: string | undefined;
  /** Any of `day`, `key` and `model`, with commas between them. Empty: one row for all. */
  group_by?: string | undefined;
};

export type Generation = {
  object: "image_generation";
  id: string;
  /** False for what a test key made. */
  livemode: boolean;
  status: "queued" | "processing" | "succeeded" | "failed" | "canceled";
  model: string;
  aspect_ratio: string;
  /** The resolution that was priced. */
  quality: "1K" | "2K" | "4K";
  created_at: string;
  completed_at?: string | undefined;
  images: ({
    id: string;
    object: "image";
    /** Valid until the generation is deleted. Needs no API key. */
    url: string;
    created_at: string;
    width: number;
    height: number;
    content_type: "image/png" | "image/jpeg" | "image/webp";
    bytes: number;
  })[];
  usage: {
    /** 0 until the generation ends; then the charge less the refund. */
    credits: number;
    /** The price. A test key is not charged for it. */
    credits_requested: number;
    credits_charged: number;
    credits_refunded: number;
  };
  /** The `metadata` of the request, if it had any. */
  metadata?: Record<string, string> | undefined;
  error?: {
    message: string;
    code: "generationFailed" | "contentPolicyViolation" | "unreadableReference";
  } | undefined;
  /** While `queued`: the approximate time until the provider is called. Null when it is unknown. */
  estimated_wait_seconds?: number | null | undefined;
  /** Where to read the generation again. Present until it ends. */
  poll_url?: string | undefined;
};

export type Model = {
  id: string;
  /** Other ids that requests may use for this model. */
  aliases: string[];
  object: "model";
  name: string;
  provider: string;
  /** The provider's own id of this model. */
  provider_model: string;
  owned_by: string;
  /** Unix time in seconds. */
  created: number;
  default_aspect_ratio: string;
  /** The resolution of an image without a size. */
  default_quality: string;
  /** Resolutions. */
  supported_qualities: string[];
  supported_aspect_ratios: string[];
  /** Values of `quality` in requests. */
  supported_render_qualities: string[];
  /** Values of `size` in requests. Null: any size within the limits in the guide. */
  supported_sizes: string[] | null;
  /** Values of `output_format` in requests. The first is the default. Empty: the provider chooses PNG or JPEG. */
  supported_output_formats: ("png" | "jpeg" | "webp")[];
  /** `edit`: the model takes reference images. */
  operations: ("generate" | "edit")[];
  /** The price of one image, by resolution. */
  credits: Record<string, number>;
  reference_image_limit: number;
  /** The most images of one request. */
  max_images: number;
  /** False while no provider of this model responds. */
  available: boolean;
};

export type CreditBalance = {
  object: "credit_balance";
  credits: number;
  account_type: "FREE" | "PRO";
  /** When the soonest-expiring credits of the balance expire. */
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
  /** The credits that were granted. */
  credits: number;
  /** The credits that are left. */
  remaining: number;
  expires_at: string | null;
  reason: string | null;
  created_at: string;
};

export type Estimate = {
  object: "estimate";
  model: string;
  aspect_ratio: string;
  /** The resolution that the price is for. */
  quality: "1K" | "2K" | "4K";
  /** `WIDTHxHEIGHT`, or `auto` where the provider chooses the shape. */
  size: string;
  n: number;
  /** The price of all images. A test key is not charged for it. */
  credits: number;
  balance: CreditBalance;
  /** Whether the balance and the limit of the key are enough for it now. A test key can always afford it. */
  affordable: boolean;
};

export type OwnKey = {
  object: "api_key";
  id: string;
  name: string;
  mode: "live" | "test";
  /** `read` is every GET, `generate` all else. */
  scopes: ("generate" | "read")[];
  /** Null: all models. */
  models: string[] | null;
  /** Null: only the balance limits the key. */
  credit_limit: CreditLimit | null;
  /** What the key has spent in the current period of its limit, or in all without a limit. */
  credits_used: number;
  /** When the period ends. Null: never. */
  resets_at: string | null;
  created_at: string;
  expires_at: string | null;
  /** Exact to the day. */
  last_used_at: string | null;
};

export type CreditLimit = {
  credits: number;
  period: "day" | "month" | "total";
};

export type UsageReport = {
  object: "list";
  data: ({
    /** The UTC day of the charge. */
    day?: string | undefined;
    /** Null: the pages. */
    api_key_id?: string | null | undefined;
    /** Null: not known, for charges before usage was counted. */
    model?: string | null | undefined;
    generations: number;
    /** Delivered images. */
    images: number;
    /** Charged, less refunded. */
    credits: number;
  })[];
};

export type Reference = {
  id: string;
  object: "reference";
  /** False for what a test key made. */
  livemode: boolean;
  content_type: "image/png" | "image/jpeg" | "image/webp";
  /** The size of the file. */
  bytes: number;
  /** In pixels. */
  width: number;
  /** In pixels. */
  height: number;
  /** The time until which requests can list it. */
  expires_at: string;
};

export type WebhookSecret = {
  object: "webhook_secret";
  /** Verifies the signatures of webhooks, as Standard Webhooks describes. */
  secret: string;
  /** Until then, the secret before this one signs, too. Null when there is none. */
  previous_secret_expires_at: string | null;
};

export type WebhookDelivery = {
  object: "webhook_delivery";
  /** The same for every attempt: ignore one that you have seen. */
  webhook_id: string;
  type: "generation.succeeded" | "generation.failed" | "generation.canceled";
  attempt: number;
  sent_at: string;
  /** Null when no answer came. */
  response_status: number | null;
  /** Why no answer came: nothing within 15 seconds, or no connection. */
  error: "timeout" | "connection_failed" | null;
  /** Null when no attempt follows this one. */
  next_attempt_at: string | null;
};

export type Image = Generation["images"][number];

export type ErrorCode = "invalid_request" | "contentPolicyViolation" | "unreadableReference" | "missingApiKey" | "invalidApiKey" | "expiredApiKey" | "insufficientCredits" | "keyLimitExceeded" | "forbidden" | "notFound" | "methodNotAllowed" | "conflict" | "notCancelable" | "payloadTooLarge" | "unsupportedMediaType" | "idempotencyMismatch" | "rateLimited" | "generationFailed" | "internalError" | "serviceUnavailable";
