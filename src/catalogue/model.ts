import type { OutputFormat, RenderQuality } from "./options.ts";

/** What a model is. The models themselves are in `models/`. */

/** A resolution class, which decides the price. */
export type Tier = "1K" | "2K" | "4K";
/** A ratio `width:height`. */
export type FixedRatio =
  | "1:1"
  | "4:3"
  | "3:4"
  | "3:2"
  | "2:3"
  | "16:9"
  | "9:16"
  | "5:4"
  | "4:5"
  | "21:9"
  | "9:21"
  | "2:1"
  | "1:2"
  | "3:1"
  | "1:3"
  | "4:1"
  | "1:4"
  | "8:1"
  | "1:8";
/** `auto`: the provider chooses the shape. */
export type AspectRatio = FixedRatio | "auto";

export type ProviderName =
  | "openai"
  | "openai-fallback"
  | "google"
  | "black-forest-labs"
  | "fal"
  | "workers-ai";

/** A way to a model: the provider, and its own name for the model. Whether a deployment has it depends on its settings. */
type ModelRoute = { readonly provider: ProviderName; readonly model: string };

/**
 * The sizes of a model in pixels.
 * - `any`: every size within the common limits of `sizes.ts` and these two.
 * - `listed`: one size, as `WIDTHxHEIGHT`, for each ratio and tier.
 */
type SizeRule =
  | { readonly kind: "any"; readonly edgeMax: number; readonly pixelsMax: number }
  | {
      readonly kind: "listed";
      readonly sizes: Readonly<Partial<Record<FixedRatio, Readonly<Partial<Record<Tier, string>>>>>>;
    };

/** Names with `_` are those of the API, which shows these fields as they are. It does not show the others. */
export type Model = {
  readonly id: string;
  /** Other names that a request may use. Responses have `id`. */
  readonly aliases: readonly string[];
  readonly name: string;
  readonly provider: string;
  /** The provider's own name for the model. */
  readonly provider_model: string;
  readonly owned_by: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly default_aspect_ratio: AspectRatio;
  readonly default_quality: Tier;
  /** From the smallest to the largest. */
  readonly supported_qualities: readonly Tier[];
  readonly supported_aspect_ratios: readonly AspectRatio[];
  readonly supported_render_qualities: readonly RenderQuality[];
  /** What a request may name; the first one is the default. Empty: the provider chooses, and no request may name one. */
  readonly supported_output_formats: readonly OutputFormat[];
  /** The price of one image of each tier. */
  readonly credits: Readonly<Partial<Record<Tier, number>>>;
  /** 0: the model cannot edit. */
  readonly reference_image_limit: number;
  readonly max_images: number;
  readonly sizes: SizeRule;
  /** The longest prompt, in Unicode code points. */
  readonly promptMax: number;
  readonly backgrounds: readonly ("auto" | "opaque")[];
  readonly moderations: readonly ("auto" | "low")[];
  /** Whether `output_compression` has an effect. */
  readonly hasCompression: boolean;
  /**
   * What the provider of the first route charges for one image of each tier, in millionths of a US dollar. For the
   * operator's report; never shown to callers.
   */
  readonly providerCosts: Readonly<Partial<Record<Tier, number>>>;
  /** In the order in which they are tried. */
  readonly routes: readonly ModelRoute[];
};
