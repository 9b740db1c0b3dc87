import type { Model } from "../model.ts";

/** Limits and prices: https://developers.cloudflare.com/workers-ai/models/flux-1-schnell. Four steps. */
export const flux1Schnell: Model = {
  id: "flux-1-schnell",
  aliases: ["cloudflare/flux-1-schnell"],
  name: "FLUX.1 [schnell]",
  provider: "cloudflare",
  provider_model: "@cf/black-forest-labs/flux-1-schnell",
  owned_by: "black-forest-labs",
  created: 1_722_470_400,
  default_aspect_ratio: "1:1",
  default_quality: "1K",
  supported_qualities: ["1K"],
  supported_aspect_ratios: ["1:1"],
  supported_render_qualities: ["auto"],
  supported_output_formats: ["jpeg"],
  credits: { "1K": 1 },
  reference_image_limit: 0,
  max_images: 4,
  sizes: { kind: "listed", sizes: { "1:1": { "1K": "1024x1024" } } },
  promptMax: 2_048,
  backgrounds: ["auto", "opaque"],
  moderations: ["auto"],
  hasCompression: false,
  providerCosts: { "1K": 630 },
  routes: [{ provider: "workers-ai", model: "@cf/black-forest-labs/flux-1-schnell" }],
};
