import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { answerOf, FAULT_ROWS, type FaultRow, IMAGES_ASKED, PRICE } from "../journeys/provider-faults.ts";

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
    "Status and code to the caller",
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
  return `# When the provider fails

Each row is a generation of ${IMAGES_ASKED} images at ${PRICE} credits each, with \`PROVIDER_ATTEMPTS\` 3, run against a stand-in for the provider: sync, and async with reference images. \`test/journeys/provider-faults.test.ts\` holds the service to it; this page is written from the same table by \`UPDATE_DOCS=1 npm test -- test/outside/provider-failures.test.ts\`.

- The status is that of a sync call. An async one has answered 202 by then; its generation ends \`succeeded\`, or \`failed\` with the same code. A 500 may be tried again by the caller, a 400 not without changing the request. A 500 that would come again (\`misconfigured\`, \`invalid\`) says \`x-should-retry: false\` at \`/openai/v1\`, so that the official SDKs do not repeat it.
- What was not delivered is refunded when the generation ends. A refund is an entry of its own in the book.
- A call is repeated only where another try may help: after 0.5 to 1 s, then 1 to 2 s, or after the time that upstream asks for. It asks for the images that are still missing. Where the next call could not begin before the deadline, it is not waited for.
- \`undelivered\`: upstream may have made pictures, and billed them, that did not arrive: it timed out (504, 522, 524, a gateway's own 5xx or no answer after 20 s), its answer broke off or stalled, or its 200 held no picture. Such a call is repeated once at most, and not at all by a run that takes over from one that died.
- A picture counts only if it is whole: a PNG up to IEND, a JPEG up to its end marker, a WebP of its stated size. What is not is logged as \`image_refused\` with the reason, and is not bought again.
- A picture that our own storage does not take is written again, three times in all (\`storage_failed\`), and then counts as not delivered (\`image_not_stored\`). The rest of the answer is read on, and nothing is bought again.
- Gateways may answer in their own way: \`url\` instead of \`b64_json\` (over https or at their own origin, fetched without the key within 120 s, no redirects), data URLs, base64 of either alphabet with or without padding and line breaks, a byte order mark, server-sent events. Their words for a content refusal (Azure's, LiteLLM's, OpenRouter's) are understood.
- References are read from storage again for each call, and removed when the generation ends.
- Every call leaves one line in the log, with the outcome, upstream's status and code, upstream's own request id (\`upstream_request_id\`) and ours (\`generation_id\`, which upstream gets as \`x-client-request-id\`). \`provider_misconfigured\` is what an operator must look at: the key, the account or the address. \`provider_undelivered\` may cost money: look at it when it is frequent.
- No key, prompt or text of upstream's is in any answer or line.

${table}
`;
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
  return same ? `${asks.length}` : `${asks.length}, asking for ${asks.join(", ")}`;
}
