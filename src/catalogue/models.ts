/** The models as data. */

const tiers = ["1K", "2K", "4K"] as const;
const renderQualities = ["auto", "low", "medium", "high"] as const;
const aspectRatios = [
  "auto",
  "1:1",
  "4:3",
  "3:4",
  "3:2",
  "2:3",
  "16:9",
  "9:16",
  "5:4",
  "4:5",
  "21:9",
  "9:21",
  "2:1",
  "1:2",
  "3:1",
  "1:3",
] as const;

/** A resolution class, which decides the price. */
export type Tier = (typeof tiers)[number];
/** The provider's quality setting. It does not change the price. */
export type RenderQuality = (typeof renderQualities)[number];
export type AspectRatio = (typeof aspectRatios)[number];
/** A ratio `width:height`. */
export type FixedRatio = Exclude<AspectRatio, "auto">;

/** A way to a model: the provider, and its own name for the model. Whether a deployment has it depends on its settings. */
type ModelRoute = { readonly provider: ProviderName; readonly model: string };

export type ProviderName = "openai" | "openai-fallback";

export type Model = {
  readonly id: string;
  /** Other names that a request may use. Responses have `id`. */
  readonly aliases: readonly string[];
  readonly object: "model";
  readonly name: string;
  readonly provider: string;
  /** The provider's own name for the model. */
  readonly provider_model: string;
  readonly owned_by: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly default_aspect_ratio: AspectRatio;
  readonly default_quality: Tier;
  readonly supported_qualities: readonly Tier[];
  readonly supported_aspect_ratios: readonly AspectRatio[];
  readonly supported_render_qualities: readonly RenderQuality[];
  /** The price of one image. */
  readonly credits: Readonly<Record<Tier, number>>;
  readonly reference_image_limit: number;
  readonly max_images: number;
  /** In the order in which they are tried. */
  readonly routes: readonly ModelRoute[];
};

export const models: readonly Model[] = [
  {
    id: "gpt-image-2",
    aliases: ["openai/gpt-image-2", "gpt-image-2-2026-04-21"],
    object: "model",
    name: "GPT IMAGE 2",
    provider: "openai",
    provider_model: "gpt-image-2",
    owned_by: "openai",
    created: 1_776_729_600,
    default_aspect_ratio: "auto",
    default_quality: "1K",
    supported_qualities: tiers,
    supported_aspect_ratios: aspectRatios,
    supported_render_qualities: renderQualities,
    credits: { "1K": 8, "2K": 10, "4K": 12 },
    reference_image_limit: 16,
    max_images: 4,
    routes: [
      { provider: "openai", model: "gpt-image-2" },
      { provider: "openai-fallback", model: "gpt-image-2" },
    ],
  },
];

/** The model that has this id or alias, or undefined. */
export function findModel(name: string): Model | undefined {
  return models.find(({ id, aliases }) => id === name || aliases.includes(name));
}

/** Credits for `n` images of a tier. */
export function priceOf(model: Model, tier: Tier, n: number): number {
  return n * model.credits[tier];
}

/** The lowest price of `n` images of this model. */
export function cheapestPrice(model: Model, n = 1): number {
  return Math.min(...model.supported_qualities.map((tier) => priceOf(model, tier, n)));
}
