import type { Model } from "../model.ts";
import { flux1Schnell } from "./flux-1-schnell.ts";
import { flux2Klein4b } from "./flux-2-klein-4b.ts";
import { flux2Pro } from "./flux-2-pro.ts";
import { gemini3ProImage } from "./gemini-3-pro-image.ts";
import { geminiNanoBanana21 } from "./gemini-nano-banana-2.1.ts";
import { gptImage2 } from "./gpt-image-2.ts";

/** Every model, in the order in which it is shown. The first is the default, and every deployment has it. */
export const models: readonly [Model, ...Model[]] = [
  gptImage2,
  geminiNanoBanana21,
  gemini3ProImage,
  flux2Pro,
  flux1Schnell,
  flux2Klein4b,
];
