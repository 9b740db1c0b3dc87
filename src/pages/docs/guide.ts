import type { Child } from "hono/jsx";
import type { PublicWords } from "../layout.tsx";

/**
 * The API guide in one language: words only. Tables, prices, limits and codes come from the data that the service
 * itself goes by, so that no language can say otherwise.
 */
export type Guide = {
  /** BCP 47. */
  lang: string;
  /** The language's own name for itself. */
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
    | "read"
    | "credits"
    | "errors"
    | "limits",
    string
  >;
  steps: readonly Child[];
  authentication: readonly Child[];
  models: readonly Child[];
  generate: readonly Child[];
  sizes: (facts: SizeFacts) => readonly Child[];
  references: (facts: ReferenceFacts) => readonly Child[];
  async: readonly Child[];
  read: readonly Child[];
  credits: readonly Child[];
  errors: readonly Child[];
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
  endpoints: Record<"models" | "model" | "credits" | "generate" | "list" | "read" | "openai", string>;
  /** What the link to the API reference says. */
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
    | "reference_image",
    Child
  >;
  modelFacts: Record<"id" | "provider" | "ratios" | "defaults" | "qualities" | "references" | "most", string>;
  credit: (count: number) => string;
  /** For each code of the error table; what has no words here is shown by its code alone. */
  codes: Readonly<Record<string, string>>;
  limits: (facts: LimitFacts) => readonly Child[];
  labels: Record<"request" | "answer" | "accepted" | "error" | "copy" | "javascript" | "python", string>;
};

type SizeFacts = {
  multiple: number;
  edgeMax: number;
  elongationMax: number;
  pixelsMin: string;
  pixelsMax: string;
};
type ReferenceFacts = { most: number; megabytes: number };
type LimitFacts = {
  waitSeconds: number;
  imagesMax: number;
  promptMax: string;
  referencesMax: number;
  megabytes: number;
};
