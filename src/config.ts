import * as z from "zod";

const seconds = (preset: number, most: number) => z.coerce.number().int().min(1).max(most).default(preset);
const days = (least: number) =>
  z.coerce
    .number()
    .int()
    .max(36_500)
    .refine((value) => value === 0 || value >= least, { message: `must be 0, or at least ${least}` })
    .default(0);
const limit = () => z.coerce.number().int().min(0).max(100_000).default(0);
const httpUrl = () => z.url({ protocol: /^https?$/ }).transform((url) => url.replace(/\/+$/, ""));

/**
 * A queue consumer is stopped after 15 minutes (https://developers.cloudflare.com/queues/platform/limits/). A run needs the
 * last minute to report its result.
 */
const RUN_SECONDS_MAX = 840;
const SIGNUP_CREDITS_MAX = 1_000_000;

/** Of the providers of images. */
const providerFields = () => ({
  IMAGE_PROVIDER: z.enum(["sketch", "openai"]).default("openai"),
  OPENAI_BASE_URL: httpUrl().default("https://api.openai.com/v1"),
  OPENAI_API_KEY: z.string().optional(),
  /** A second server with OpenAI's wire format, called when the first cannot serve. */
  OPENAI_FALLBACK_BASE_URL: httpUrl().optional(),
  OPENAI_FALLBACK_API_KEY: z.string().optional(),
  GEMINI_BASE_URL: httpUrl().default("https://generativelanguage.googleapis.com/v1beta"),
  GEMINI_API_KEY: z.string().optional(),
  BFL_BASE_URL: httpUrl().default("https://api.bfl.ai"),
  BFL_API_KEY: z.string().optional(),
  FAL_BASE_URL: httpUrl().default("https://queue.fal.run"),
  FAL_KEY: z.string().optional(),
  /** The binding of Workers AI. It needs no secret. */
  AI: z.custom<Ai>((value) => typeof value === "object" && value !== null && "run" in value).optional(),
  /** The limits of each provider; 0 learns them from its responses. */
  OPENAI_MAX_PER_MINUTE: limit(),
  OPENAI_MAX_CONCURRENT: limit(),
  OPENAI_FALLBACK_MAX_PER_MINUTE: limit(),
  OPENAI_FALLBACK_MAX_CONCURRENT: limit(),
  GEMINI_MAX_PER_MINUTE: limit(),
  GEMINI_MAX_CONCURRENT: limit(),
  BFL_MAX_PER_MINUTE: limit(),
  BFL_MAX_CONCURRENT: limit(),
  FAL_MAX_PER_MINUTE: limit(),
  FAL_MAX_CONCURRENT: limit(),
  WORKERS_AI_MAX_PER_MINUTE: limit(),
  WORKERS_AI_MAX_CONCURRENT: limit(),
});

/** Built when the settings are first read, not when the Worker starts. */
const configSchema = () =>
  z.object({
    ...providerFields(),
    /** Who operates this service. With SUPPORT_EMAIL, the pages have terms and a privacy notice. */
    OPERATOR_NAME: z.string().max(100).optional(),
    SUPPORT_EMAIL: z.email().optional(),
    /** A page about the state of the service, which the pages link. */
    STATUS_URL: httpUrl().optional(),
    PUBLIC_BASE_URL: httpUrl().optional(),
    IMAGES_BASE_URL: httpUrl().optional(),
    SYNC_WAIT_SECONDS: seconds(800, 3600),
    RUN_DEADLINE_SECONDS: seconds(800, RUN_SECONDS_MAX),
    QUEUE_DEADLINE_SECONDS: seconds(3600, 86_400),
    /** A message that the queue accepted counts as lost after this time. Local queues lose theirs at a restart. */
    QUEUE_REDELIVERY_SECONDS: seconds(600, 86_400),
    /** A sync request that could not begin within this time is refused. */
    SYNC_START_SECONDS: seconds(60, 3600),
    /** Per user; 0 is off. */
    RATE_LIMIT_PER_MINUTE: limit(),
    MAX_CONCURRENT_GENERATIONS: limit(),
    /** Development only: see {@link mayCallInsecureUrls}. */
    ALLOW_INSECURE_URLS: z.stringbool().default(false),
    /** After so many days, a generation is deleted, with its images; 0: never. */
    RETENTION_DAYS: days(1),
    /** After so many days, its row in the log is deleted, too; 0: never. The accounts compare the log for two days. */
    LOG_RETENTION_DAYS: days(3),
    PROVIDER_ATTEMPTS: z.coerce.number().int().min(1).max(10).default(3),
    ADMIN_TOKEN: z.string().min(1).optional(),
    /** Accepted too, while the operator's scripts change to a new token. */
    ADMIN_TOKEN_PREVIOUS: z.string().min(1).optional(),
    /** Signs session cookies. Without it, nobody can sign in. */
    AUTH_SECRET: z.string().optional(),
    GITHUB_CLIENT_ID: z.string().optional(),
    GITHUB_CLIENT_SECRET: z.string().optional(),
    GOOGLE_CLIENT_ID: z.string().optional(),
    GOOGLE_CLIENT_SECRET: z.string().optional(),
    /** Both are needed to sell credits. */
    STRIPE_SECRET_KEY: z.string().optional(),
    STRIPE_WEBHOOK_SECRET: z.string().optional(),
    /** Another server with Stripe's wire format. Counts in development only. */
    STRIPE_BASE_URL: httpUrl().optional(),
    /** Granted to a new user once. */
    SIGNUP_CREDITS: z.coerce.number().int().min(0).max(SIGNUP_CREDITS_MAX).default(0),
    /** An HTTP API that accepts `{from, to, subject, text}` with a bearer token. */
    MAIL_API_URL: httpUrl().default("https://api.resend.com/emails"),
    MAIL_API_KEY: z.string().optional(),
    MAIL_FROM: z.string().optional(),
    /** Gets the alerts as JSON. A secret: whoever knows it can post there. */
    ALERT_WEBHOOK_URL: httpUrl().optional(),
  });

export type Config = z.infer<ReturnType<typeof configSchema>>;

let schema: ReturnType<typeof configSchema> | undefined;

const parsed = new WeakMap<object, Config>();

/** A setting is missing or invalid. The message is for the operator's log. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * The service's settings, from the Worker's variables and secrets. An empty one counts as not set. Parsed once per
 * environment object.
 * @throws {ConfigError} naming each invalid setting
 */
export function readConfig(env: object): Config {
  const known = parsed.get(env);
  if (known) return known;
  schema ??= configSchema();
  const result = schema.safeParse(
    Object.fromEntries(Object.entries(env).filter(([, value]) => value !== "")),
  );
  if (!result.success) throw new ConfigError(z.prettifyError(result.error));
  parsed.set(env, result.data);
  return result.data;
}
