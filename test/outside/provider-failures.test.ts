import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { ProviderFailure } from "../../src/providers/provider.ts";
import { answerOf, FAULT_ROWS, type FaultRow, IMAGES_ASKED, PRICE } from "../journeys/provider-faults.ts";
import {
  BLACK_FOREST_LABS_FAULTS,
  FAL_FAULTS,
  GOOGLE_FAULTS,
  type WireFault,
  WORKERS_AI_FAULTS,
} from "../providers/faults.ts";

const file = join(import.meta.dirname, "../../docs/provider-failures.md");

it("docs/provider-failures.md is up to date; UPDATE_DOCS=1 rewrites it", () => {
  const document = renderDocument();
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(file, document);
  expect(readFileSync(file, "utf8")).toBe(document);
});

function renderDocument(): string {
  const head = [
    "Fault",
    "What upstream sent",
    "Status and code to the client",
    "Credits",
    "Calls made",
    "Log",
  ];
  const rows = FAULT_ROWS.map((row) => [
    row.fault,
    row.sent,
    statusText(row),
    creditsText(row),
    callsText(row),
    `\`${row.logged.event}\` ${row.logged.outcome}`,
  ]);
  const table = renderTable([head, ...rows]);
  return `# Provider failures

What a caller gets when a provider fails. A failure has the same effect whichever provider it comes from: OpenAI's table shows the effect, and the tables of the other providers show which failure each of their faults is.

## OpenAI

Each row is a generation of ${IMAGES_ASKED} images at ${PRICE} credits each with \`PROVIDER_ATTEMPTS\` 3, run against a double of the provider: once sync, and once async with reference images. \`test/journeys/provider-faults.test.ts\` tests the service against this table, and \`UPDATE_DOCS=1 npm test -- test/outside/provider-failures.test.ts\` generates this page from it.

- The status is that of a sync call. An async call has already returned 202; its generation ends as \`succeeded\`, or as \`failed\` with the same code. The client may retry a 500; a 400 needs a different request. A 500 that would happen again (\`misconfigured\`, \`invalid\`) has \`x-should-retry: false\` at \`/openai/v1\`, so that the official SDKs do not retry it.
- Images that are not delivered are refunded when the generation ends. A refund is a ledger entry of its own.
- A call is retried only if another attempt may succeed: after 0.5 to 1 s, then 1 to 2 s, or after the time that the upstream requests. It requests only the missing images. If the next call could not begin before the deadline, the generation ends at once.
- A call that the upstream turns away because of its rate limit is not an attempt: the generation waits its turn, until its deadline.
- \`undelivered\` and \`timeout\`: the upstream may have generated and billed images that did not arrive. It timed out (504, 522, 524, a gateway's own 5xx or no response after 20 s), its response broke off or stalled, or its 200 had no image. Such a call is retried at most once, and never by a run that takes over from one that died.
- An image counts only if it is complete: a PNG up to IEND, a JPEG up to its end marker, a WebP of its stated size. Anything else is logged as \`image_refused\` with the reason, and is not bought again.
- If our own storage does not accept an image, the write is tried three times (\`storage_failed\`). After that, the image counts as not delivered (\`image_not_stored\`). The rest of the response is still read, and nothing is bought again.
- Gateways may respond in other forms: \`url\` instead of \`b64_json\` (over https or at their own origin, fetched without the key within 120 s, without redirects), data URLs, base64 in either alphabet with or without padding and line breaks, a byte order mark, server-sent events. The content refusals of Azure, LiteLLM and OpenRouter are recognized.
- Reference images are read from storage again for each call, and deleted when the generation ends.
- Every call writes one log line with the outcome, the upstream's status and code, its request id (\`upstream_request_id\`) and ours (\`generation_id\`, which the upstream gets as \`x-client-request-id\`). \`provider_misconfigured\` needs an operator: check the key, the account and the URL. \`provider_undelivered\` may cost money: investigate if it is frequent.
- No response and no log line contains a key, a prompt or text of the upstream.

${table}

## The other providers

Each row is a call of one image to the double of the provider. \`test/providers/<provider>/wire.test.ts\` tests the adapters against these tables, and \`test/journeys/providers.test.ts\` tests each route of each model through the whole service. The result is that of a generation whose calls all fail in this way, sync and with one route; what is not delivered is refunded. A model with several routes calls the next one at once where the table says so, and the fault costs the caller nothing.

- An image is a call, or a task, of its own. When one of several fails, the images of the others are delivered, and a further call requests only the missing ones.
- Black Forest Labs and fal are polled. The tasks are saved in the account before the first poll, so a run that takes over from one that died polls on, and buys no image again. A poll that fails is repeated up to 20 times in a row; a task that is lost is \`undelivered\`.
- Google and Workers AI answer a request that they cannot read with the same status whether or not a reference is the reason. With references, such a request is \`unreadable\`: the caller gets 400 \`unreadableReference\`.

${WIRES.map(([name, faults]) => `### ${name}\n\n${renderWire(faults)}`).join("\n\n")}
`;
}

const WIRES: [name: string, faults: readonly WireFault[]][] = [
  ["Google", GOOGLE_FAULTS],
  ["Black Forest Labs", BLACK_FOREST_LABS_FAULTS],
  ["fal", FAL_FAULTS],
  ["Workers AI", WORKERS_AI_FAULTS],
];

function renderWire(faults: readonly WireFault[]): string {
  const head = ["Fault", "What upstream sent", "Failure", "Status and code to the client", "Called again"];
  const rows = faults.map(([fault, failure, status, code]) => [
    fault,
    [status ?? "no response", ...(code === null ? [] : [`\`${code}\``])].join(" "),
    `\`${failure.reason}\``,
    ...effectOf(failure),
  ]);
  return renderTable([head, ...rows]);
}

/** What the client gets when every call fails in this way, and whether there are further calls. */
function effectOf(failure: ProviderFailure): [answer: string, again: string] {
  switch (failure.reason) {
    case "refused":
      return ["400 `contentPolicyViolation`", "never"];
    case "unreadable":
      return ["400 `unreadableReference`", "never"];
    case "invalid":
      return ["500 `generationFailed`", "never"];
    case "misconfigured":
      return ["500 `generationFailed`", "next route"];
    case "unavailable":
      return ["500 `generationFailed`", "next route; up to 3 calls in all"];
    case "timeout":
    case "undelivered":
      return ["500 `generationFailed`", "next route; up to 2 calls in all"];
    case "limited":
      return [
        "500 `generationFailed` at the deadline",
        `next route; when its turn comes${waitText(failure)}`,
      ];
  }
}

function waitText({ retryAfterMs }: Extract<ProviderFailure, { reason: "limited" }>): string {
  return retryAfterMs === null ? "" : `, after ${retryAfterMs / 1000} s`;
}

/** Formats a table with aligned columns. */
function renderTable([head = [], ...rows]: string[][]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (cells: string[], fill: string) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(" | ")} |`;
  const rule = head.map(() => "");
  return [line(head, " "), line(rule, "-"), ...rows.map((row) => line(row, " "))].join("\n");
}

function statusText(row: FaultRow): string {
  const { status, code } = answerOf(row);
  if (code !== null) return `${status} \`${code}\``;
  return row.images === IMAGES_ASKED ? `${status}` : `${status}, ${row.images} images`;
}

function creditsText({ images }: FaultRow): string {
  const kept = PRICE * images;
  const returned = PRICE * (IMAGES_ASKED - images);
  if (returned === 0) return `${kept} kept`;
  return kept === 0 ? `${returned} refunded` : `${kept} kept, ${returned} refunded`;
}

function callsText({ asks }: FaultRow): string {
  const same = new Set(asks).size === 1;
  return same ? `${asks.length}` : `${asks.length}, for ${asks.join(", ")}`;
}
