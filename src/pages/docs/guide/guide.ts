import type { Child } from "hono/jsx";
import type { PublicWords } from "../../layout.tsx";

/**
 * The text of the API guide in one language. Tables, prices, limits and codes come from the service's own data, so that
 * all languages show the same.
 */
export type Guide = {
  /** BCP 47. */
  lang: "en" | "tr";
  /** The name of the language in that language. */
  name: string;
  path: string;
  page: PublicWords;
  title: string;
  description: string;
  lead: string;
  contents: string;
  sections: Record<
    | "start"
    | "authentication"
    | "models"
    | "generate"
    | "fields"
    | "sizes"
    | "references"
    | "async"
    | "webhooks"
    | "read"
    | "list"
    | "delete"
    | "idempotency"
    | "credits"
    | "cost"
    | "openai"
    | "client"
    | "test-keys"
    | "errors"
    | "retries"
    | "rate-limits"
    | "limits",
    string
  >;
  /** The headings within sections. */
  headings: Record<"saving" | "waiting" | "polling" | "events" | "verifying" | "commands", string>;
  steps: readonly Child[];
  authentication: readonly Child[];
  models: readonly Child[];
  generate: readonly Child[];
  saving: readonly Child[];
  sizes: (facts: SizeFacts) => readonly Child[];
  references: (facts: ReferenceFacts) => readonly Child[];
  async: readonly Child[];
  waiting: (facts: { waitSeconds: number }) => readonly Child[];
  polling: readonly Child[];
  events: readonly Child[];
  webhooks: readonly Child[];
  verifying: readonly Child[];
  read: readonly Child[];
  list: readonly Child[];
  delete: readonly Child[];
  idempotency: readonly Child[];
  credits: readonly Child[];
  cost: readonly Child[];
  openai: readonly Child[];
  client: readonly Child[];
  commands: readonly Child[];
  testKeys: (facts: { delaySecondsMax: number }) => readonly Child[];
  /** What each value of `X-Test-Scenario` does. */
  scenarios: Record<"partial=K" | "fail" | "refuse" | "timeout" | "insufficient" | "delay=SECONDS", Child>;
  errors: readonly Child[];
  retries: readonly Child[];
  /** What to do after each kind of error. */
  advice: readonly Child[];
  rateLimits: (facts: RateFacts) => readonly Child[];
  columns: Record<
    | "field"
    | "value"
    | "notes"
    | "status"
    | "code"
    | "meaning"
    | "tier"
    | "pixels"
    | "price"
    | "ratio"
    | "endpoint"
    | "key"
    | "does",
    string
  >;
  /** What each endpoint is for. */
  endpoints: Record<
    | "models"
    | "model"
    | "credits"
    | "generate"
    | "list"
    | "read"
    | "upload"
    | "deleteReference"
    | "deliveries"
    | "resend"
    | "secret"
    | "rotate"
    | "openai"
    | "packs"
    | "entries"
    | "grants"
    | "cancel"
    | "delete"
    | "events"
    | "estimate"
    | "usage"
    | "key",
    string
  >;
  /** The text of the link to the API reference. */
  reference: string;
  needsKey: string;
  needsNoKey: string;
  fields: Record<
    | "model"
    | "prompt"
    | "size"
    | "quality"
    | "aspect_ratio"
    | "resolution"
    | "n"
    | "async"
    | "output_format"
    | "output_compression"
    | "background"
    | "moderation"
    | "user"
    | "response_format"
    | "max_credits"
    | "metadata"
    | "webhook_url"
    | "reference_images"
    | "reference_image",
    Child
  >;
  modelFacts: Record<
    | "id"
    | "aliases"
    | "provider"
    | "ratios"
    | "defaults"
    | "qualities"
    | "renderQualities"
    | "formats"
    | "formatsByProvider"
    | "references"
    | "most"
    | "promptMax",
    string
  >;
  /** The upper limits of a model that takes any size. */
  anySize: (facts: { edgeMax: string; pixelsMax: string }) => string;
  /** Of a model that takes only the sizes in the table below. */
  listedSizes: string;
  credit: (count: number) => string;
  /** The meaning of each error code. */
  codes: Readonly<Record<string, string>>;
  limits: (facts: LimitFacts) => readonly Child[];
  labels: Record<
    | "language"
    | "variable"
    | "header"
    | "request"
    | "answer"
    | "accepted"
    | "error"
    | "receiver"
    | "program"
    | "commands"
    | "headers"
    | "copy",
    string
  >;
};

/** Formats a number for the language of a guide. */
export function formatIn(guide: Guide, value: number): string {
  return new Intl.NumberFormat(guide.lang).format(value);
}

type SizeFacts = {
  multiple: number;
  elongationMax: number;
  pixelsMin: string;
};
type ReferenceFacts = { most: number; megabytes: number };
/** Zero: no limit. */
type RateFacts = { perMinute: number; unfinished: number };
type LimitFacts = {
  waitSeconds: number;
  imagesMax: number;
  promptMax: string;
  referencesMax: number;
  megabytes: number;
};
