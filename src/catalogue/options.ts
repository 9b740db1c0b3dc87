export type OutputFormat = "png" | "jpeg" | "webp";
/** The provider's quality setting. It does not change the price. */
export type RenderQuality = "auto" | "low" | "medium" | "high";

/** The options of an image: stored with a generation, and sent to its provider. */
export type ImageOptions = {
  prompt: string;
  /** Pixels, or `auto`: the provider chooses the shape. */
  size: { width: number; height: number } | "auto";
  /** A ratio `width:height`, or `auto`. */
  aspectRatio: string;
  /** The resolution that was priced. */
  tier: string;
  renderQuality: RenderQuality;
  outputFormat: OutputFormat;
  /** 0 to 100, for jpeg and webp; null leaves it to the provider. */
  outputCompression: number | null;
  background: "auto" | "opaque";
  moderation: "auto" | "low";
  /** The client's end-user id, hashed, or null. */
  endUser: string | null;
};
