import type { Point } from "../metrics.ts";
import { type Generation, isLive } from "./lifecycle.ts";

/** Who served a run, for metrics only. Times in milliseconds. */
export type Served = {
  /** The route of the last call; null when none was made. */
  provider: string | null;
  /** In the calls, including the time to store their images. */
  providerMs: number;
  /** Waiting for the gates of providers. */
  gateMs: number;
};

/** The data point of a generation that ended at `now`. @param served left out when no run ended it */
export function pointOf(generation: Generation, now: number, served?: Served): Point {
  const { status, request, mode, error, createdAt, beganAt } = generation;
  return {
    kind: "generation",
    labels: {
      ...{ status, model: request.model, provider: served?.provider ?? "", error: error ?? "", mode },
      livemode: String(isLive(request)),
    },
    values: {
      ...{ charged: generation.charged, refunded: generation.refunded, images: generation.images.length },
      queued_ms: (beganAt ?? now) - createdAt,
      run_ms: beganAt === null ? 0 : now - beganAt,
      provider_ms: served?.providerMs ?? 0,
      gate_ms: served?.gateMs ?? 0,
      provider_calls: generation.providerCalls,
      interrupted: generation.interrupted ? 1 : 0,
    },
  };
}
