import { renderGeneration } from "../../../account/render.ts";
import type { Config } from "../../../config.ts";
import { renderBalance } from "../../../http/v1/credits.ts";

/** The body of the example request. */
export const SAMPLE = {
  model: "gpt-image-2",
  prompt: "a lighthouse at dusk",
  size: "1536x1024",
  quality: "high",
  n: 1,
} as const;

export const SAMPLE_ID = "gen_01M4QK5Z2W8X9Y7V6T5S4R3P2N";
const SAMPLE_TIME = Date.UTC(2026, 10, 22, 8);
const SAMPLE_SECONDS = 14;
export const SAMPLE_BALANCE = renderBalance({ credits: 112, nextExpiration: null }, "PRO");

/** The example generation, rendered by the API's own code. */
export function sampleOf(status: "succeeded" | "queued", origin: string, config: Config) {
  const hasEnded = status === "succeeded";
  const at = SAMPLE_TIME + SAMPLE_SECONDS * 1000;
  const id = "img_01M4QK61R8B7C6D5E4F3G2H1J0";
  const image = {
    id,
    key: `${SAMPLE_ID}/${id}.png`,
    createdAt: at,
    width: 1536,
    height: 1024,
    contentType: "image/png",
    bytes: 1_234_567,
  } as const;
  const record = {
    id: SAMPLE_ID,
    status,
    model: SAMPLE.model,
    aspectRatio: "3:2",
    tier: "1K",
    createdAt: SAMPLE_TIME,
    endedAt: hasEnded ? at : null,
    creditsCharged: 8,
    creditsRefunded: 0,
    error: null,
    images: hasEnded ? [image] : [],
    origin,
  };
  return renderGeneration(record, config);
}

export function referenceSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer YOUR_API_KEY" \\
  -F "model=gpt-image-2" \\
  -F "prompt=the same cup on a wooden table, morning light" \\
  -F "size=1024x1024" \\
  -F "reference_image=@./cup.png"`;
}

export function scenarioSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer YOUR_TEST_KEY" \\
  -H "X-Test-Scenario: partial=2" \\
  -H "Content-Type: application/json" \\
  -d '{ "model": "gpt-image-2", "prompt": "a lighthouse at dusk", "n": 3 }'`;
}

export function getSample(url: string): string {
  return `curl ${url} \\
  -H "Authorization: Bearer YOUR_API_KEY"`;
}

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
