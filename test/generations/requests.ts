import type { GenerationRequest, Job } from "../../src/account/lifecycle.ts";
import { newId } from "../../src/id.ts";

/** A request for `n` images at 1K, without references. */
export function requestOf(n: number): GenerationRequest {
  return {
    model: "gpt-image-2",
    providerModel: "gpt-image-2",
    prompt: "a lighthouse",
    aspectRatio: "1:1",
    tier: "1K",
    size: { width: 1024, height: 1024 },
    renderQuality: "low",
    n,
    outputFormat: "png",
    outputCompression: null,
    background: "auto",
    moderation: "auto",
    endUser: null,
    references: [],
    origin: "https://hub.example",
  };
}

/** The job of a new generation that has just begun, with 720 s to work. */
export function jobOf(n: number, changes: Partial<Job> = {}): Job {
  return {
    generationId: newId("gen"),
    fence: 1,
    request: requestOf(n),
    workUntil: Date.now() + 720_000,
    mayCall: true,
    ...changes,
  };
}
