import { renderGeneration } from "../../../account/render.ts";
import type { Config } from "../../../config.ts";
import { renderBalance } from "../../../http/v1/credits.ts";
import type { Samples } from "../../parts.tsx";
import { curlSample, javascriptSample, openaiSample, pythonSample } from "../../samples.ts";

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

const BEARER = `-H "Authorization: Bearer $GIH_KEY"`;

export function startSamples(origin: string): Samples {
  return [
    ["curl", curlSample(origin, SAMPLE)],
    ["javascript", javascriptSample(origin, SAMPLE)],
    ["python", pythonSample(origin, SAMPLE)],
  ];
}

export function referenceSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  ${BEARER} \\
  -F "model=gpt-image-2" \\
  -F "prompt=the same cup on a wooden table, morning light" \\
  -F "size=1024x1024" \\
  -F "reference_image=@./cup.png"`;
}

export function waitSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  ${BEARER} \\
  -H "Content-Type: application/json" \\
  -H "Prefer: wait=30" \\
  -d '{ "model": "gpt-image-2", "prompt": "a lighthouse at dusk" }'`;
}

/** Each poll waits for up to 30 seconds, and the shell gives up after 30 polls. */
export function pollSamples(origin: string): Samples {
  const url = `${origin}/api/v1/generations/${SAMPLE_ID}`;
  return [
    [
      "curl",
      `for poll in $(seq 30); do
  curl -sS ${url} \\
    ${BEARER} \\
    -H "Prefer: wait=30" -o generation.json &&
    ! grep -qE '"status":"(queued|processing)"' generation.json && break
  sleep 1
done
cat generation.json`,
    ],
    [
      "javascript",
      `const url = "${url}";
const headers = { Authorization: \`Bearer \${process.env.GIH_KEY}\`, Prefer: "wait=30" };
let generation;
for (;;) {
  const response = await fetch(url, { headers });
  generation = await response.json();
  if (!response.ok) throw new Error(generation.error.message);
  if (!["queued", "processing"].includes(generation.status)) break;
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
console.log(generation.status, generation.images.map((image) => image.url));`,
    ],
    [
      "python",
      `import json
import os
import time
from urllib.request import Request, urlopen

request = Request(
    "${url}",
    headers={"Authorization": "Bearer " + os.environ["GIH_KEY"], "Prefer": "wait=30"},
)
while True:
    with urlopen(request, timeout=60) as response:
        generation = json.load(response)
    if generation["status"] not in ("queued", "processing"):
        break
    time.sleep(1)
print(generation["status"], [image["url"] for image in generation["images"]])`,
    ],
  ];
}

export function eventsSample(origin: string): string {
  return `curl -N ${origin}/api/v1/generations/${SAMPLE_ID}/events \\
  ${BEARER}`;
}

/** A receiver of webhooks: a route of any framework that has the standard `Request` and `Response`. */
export const WEBHOOK_SAMPLE = `import { verifyWebhook } from "gpt-image-hub";

const secret = process.env.GIH_WEBHOOK_SECRET;

export async function POST(request) {
  const body = await request.text();
  const { type, data } = await verifyWebhook(body, request.headers, secret);
  console.log(type, data.id, data.status);
  return new Response(null, { status: 204 });
}`;

export function listSamples(origin: string): Samples {
  const url = `${origin}/api/v1/generations`;
  return [
    [
      "curl",
      `curl -g "${url}?limit=20&status=succeeded&metadata[project]=website" \\
  ${BEARER}`,
    ],
    [
      "javascript",
      `const headers = { Authorization: \`Bearer \${process.env.GIH_KEY}\` };
const query = new URLSearchParams({ status: "succeeded", limit: "100" });
for (let cursor; cursor !== null; ) {
  if (cursor) query.set("cursor", cursor);
  const response = await fetch(\`${url}?\${query}\`, { headers });
  const page = await response.json();
  if (!response.ok) throw new Error(page.error.message);
  for (const generation of page.data) console.log(generation.id, generation.created_at);
  cursor = page.next_cursor;
}`,
    ],
    [
      "python",
      `import json
import os
from urllib.parse import urlencode
from urllib.request import Request, urlopen

headers = {"Authorization": "Bearer " + os.environ["GIH_KEY"]}
query = {"status": "succeeded", "limit": 100}
while query.get("cursor", "") is not None:
    request = Request("${url}?" + urlencode(query), headers=headers)
    with urlopen(request, timeout=60) as response:
        page = json.load(response)
    for generation in page["data"]:
        print(generation["id"], generation["created_at"])
    query["cursor"] = page["next_cursor"]`,
    ],
  ];
}

export function idempotencySample(origin: string): string {
  return `curl -i ${origin}/api/v1/images/generations \\
  ${BEARER} \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: order-1001" \\
  -d '{ "model": "gpt-image-2", "prompt": "a lighthouse at dusk" }'`;
}

/** The same request until there is an answer: five attempts with one idempotency key. */
export function retrySamples(origin: string): Samples {
  const url = `${origin}/api/v1/images/generations`;
  const curl = `curl --retry 4 --retry-connrefused ${url} \\
  ${BEARER} \\
  -H "Content-Type: application/json" \\
  -H "Idempotency-Key: order-1002" \\
  -d '{ "model": "gpt-image-2", "prompt": "a lighthouse at dusk" }'`;
  return [
    ["curl", curl],
    ["javascript", retryInJavascript(url)],
    ["python", retryInPython(url)],
  ];
}

function retryInJavascript(url: string): string {
  return `const url = "${url}";
const init = {
  method: "POST",
  headers: {
    "Authorization": \`Bearer \${process.env.GIH_KEY}\`,
    "Content-Type": "application/json",
    "Idempotency-Key": crypto.randomUUID(),
  },
  body: JSON.stringify({ model: "gpt-image-2", prompt: "a lighthouse at dusk" }),
};

async function generate() {
  for (let attempt = 1; ; attempt++) {
    const response = await fetch(url, init).catch(() => null);
    const answer = await response?.json().catch(() => null);
    if (response?.ok && answer) return answer;
    const isTemporary = !answer || response.status === 429 || response.status >= 500;
    const isFinal = answer?.error?.code === "generationFailed" || attempt === 5;
    if (!isTemporary || isFinal) throw new Error(answer?.error?.message ?? "No response.");
    const seconds = Number(response?.headers.get("Retry-After")) || 2 ** attempt;
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  }
}

console.log((await generate()).images.map((image) => image.url));`;
}

function retryInPython(url: string): string {
  return `import json
import os
import time
import uuid
from urllib.error import HTTPError
from urllib.request import Request, urlopen

request = Request(
    "${url}",
    data=json.dumps({"model": "gpt-image-2", "prompt": "a lighthouse at dusk"}).encode(),
    headers={
        "Authorization": "Bearer " + os.environ["GIH_KEY"],
        "Content-Type": "application/json",
        "Idempotency-Key": str(uuid.uuid4()),
    },
)
for attempt in range(1, 6):
    try:
        with urlopen(request, timeout=820) as response:
            generation = json.load(response)
        break
    except HTTPError as error:
        answer = error.read().decode()
        is_temporary = error.code == 429 or error.code >= 500
        if not is_temporary or '"generationFailed"' in answer or attempt == 5:
            raise SystemExit(answer)
        seconds = int(error.headers.get("Retry-After", 2**attempt))
    except OSError:
        if attempt == 5:
            raise
        seconds = 2**attempt
    time.sleep(seconds)
print([image["url"] for image in generation["images"]])`;
}

export function estimateSample(origin: string): string {
  return curlSample(origin, SAMPLE).replace("/images/generations", "/images/estimate");
}

export const ESTIMATE = {
  object: "estimate",
  model: SAMPLE.model,
  aspect_ratio: "3:2",
  quality: "1K",
  size: SAMPLE.size,
  n: SAMPLE.n,
  credits: 8,
  balance: { object: "credit_balance", ...SAMPLE_BALANCE },
  affordable: true,
};

/** With OpenAI's own libraries. */
export function openaiSamples(origin: string): Samples {
  const { model, prompt, size } = SAMPLE;
  return [
    ["python", openaiSample(origin, { model, prompt, size }, [])],
    [
      "javascript",
      `import OpenAI from "openai";

const client = new OpenAI({ apiKey: process.env.GIH_KEY, baseURL: "${origin}/openai/v1" });
const result = await client.images.generate({
  model: "${model}",
  prompt: "${prompt}",
  size: "${size}",
  response_format: "url",
});
console.log(result.data.map((image) => image.url));`,
    ],
  ];
}

export function clientSample(origin: string): string {
  return `import { writeFile } from "node:fs/promises";
import { createClient, InsufficientCreditsError } from "gpt-image-hub";

const client = createClient({ apiKey: process.env.GIH_KEY, baseUrl: "${origin}" });

try {
  const { images } = await client.generate(
    { model: "gpt-image-2", prompt: "a lighthouse at dusk" },
    { onProgress: ({ status }) => console.log(status) },
  );
  for (const image of images) await writeFile(\`\${image.id}.png\`, await client.download(image));
} catch (error) {
  if (!(error instanceof InsufficientCreditsError)) throw error;
  console.log(\`\${error.required} credits are needed, \${error.available} are left.\`);
}`;
}

export function commandSample(origin: string): string {
  return `export GIH_URL=${origin}
npx gpt-image-hub "a lighthouse at dusk" -o lighthouse.png
npx gpt-image-hub "three ships" -n 3 --estimate
npx gpt-image-hub list --status failed --json`;
}

export function scenarioSample(origin: string): string {
  return `curl ${origin}/api/v1/images/generations \\
  -H "Authorization: Bearer $GIH_TEST_KEY" \\
  -H "X-Test-Scenario: partial=2" \\
  -H "Content-Type: application/json" \\
  -d '{ "model": "gpt-image-2", "prompt": "a lighthouse at dusk", "n": 3 }'`;
}

/** @param options of curl, such as `-X DELETE` */
export function callSample(url: string, options = ""): string {
  return `curl ${options === "" ? "" : `${options} `}${url} \\
  ${BEARER}`;
}

export const RATE_LIMIT_HEADERS = `RateLimit-Policy: "default";q=120;w=60, "concurrency";q=20;qu="concurrent-requests"
RateLimit: "default";r=119;t=60, "concurrency";r=19`;

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}
