import type { Model } from "../model.ts";

/** Sizes and prices: https://ai.google.dev/gemini-api/docs/image-generation and its price list of October 2026. */
export const gemini3ProImage: Model = {
  id: "gemini-3-pro-image",
  aliases: ["google/gemini-3-pro-image", "nano-banana-pro"],
  name: "Nano Banana Pro",
  provider: "google",
  provider_model: "gemini-3-pro-image",
  owned_by: "google",
  created: 1_779_926_400,
  // The API has no `auto`: without a ratio, the model chooses one of its own.
  default_aspect_ratio: "1:1",
  default_quality: "1K",
  supported_qualities: ["1K", "2K", "4K"],
  supported_aspect_ratios: ["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"],
  supported_render_qualities: ["auto"],
  // The API sends PNG or JPEG, as it chooses.
  supported_output_formats: [],
  credits: { "1K": 160, "2K": 160, "4K": 290 },
  reference_image_limit: 14,
  max_images: 4,
  sizes: {
    kind: "listed",
    sizes: {
      "1:1": { "1K": "1024x1024", "2K": "2048x2048", "4K": "4096x4096" },
      "2:3": { "1K": "848x1264", "2K": "1696x2528", "4K": "3392x5056" },
      "3:2": { "1K": "1264x848", "2K": "2528x1696", "4K": "5056x3392" },
      "3:4": { "1K": "896x1200", "2K": "1792x2400", "4K": "3584x4800" },
      "4:3": { "1K": "1200x896", "2K": "2400x1792", "4K": "4800x3584" },
      "4:5": { "1K": "928x1152", "2K": "1856x2304", "4K": "3712x4608" },
      "5:4": { "1K": "1152x928", "2K": "2304x1856", "4K": "4608x3712" },
      "9:16": { "1K": "768x1376", "2K": "1536x2752", "4K": "3072x5504" },
      "16:9": { "1K": "1376x768", "2K": "2752x1536", "4K": "5504x3072" },
      "21:9": { "1K": "1584x672", "2K": "3168x1344", "4K": "6336x2688" },
    },
  },
  promptMax: 32_000,
  backgrounds: ["auto", "opaque"],
  moderations: ["auto"],
  hasCompression: false,
  providerCosts: { "1K": 134_000, "2K": 134_000, "4K": 240_000 },
  routes: [
    { provider: "google", model: "gemini-3-pro-image" },
    { provider: "fal", model: "fal-ai/nano-banana-pro" },
    { provider: "workers-ai", model: "google/nano-banana-pro" },
  ],
};
