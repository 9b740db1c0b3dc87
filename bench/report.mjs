/** What was measured, as a table for people and as a verdict for a machine. */
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { root } from "../scripts/lib.mjs";

/** A gross regression, as machines are noisy: less than this is not told from chance. */
const WORSE_BY = 2;

/**
 * @typedef {import("./throughput.mjs").Row} Row
 * @typedef {import("./load.mjs").Spread} Spread
 */

/**
 * Rows whose cost beside the floor has doubled. Processor time is looked at where it is known: other work on the machine
 * moves it least.
 * @param {Row[]} rows
 * @param {Record<string, { ratio: number, cpu: number | null }>} recorded
 */
export function findRegressions(rows, recorded) {
  return rows.flatMap(({ id, what, ratio, cpu, goal }) => {
    const before = recorded[id];
    if (!before) return [`${what}: nothing is recorded for ${id}; run npm run bench`];
    const [now, then] =
      cpu && before.cpu !== null
        ? [cpu.median, before.cpu]
        : isTime(goal)
          ? [ratio.median, before.ratio]
          : [1 / ratio.median, 1 / before.ratio];
    return now > WORSE_BY * then
      ? [`${what}: costs ${now.toFixed(2)} of the floor, was ${then.toFixed(2)}`]
      : [];
  });
}

/** @param {Row[]} rows */
export function renderTable(rows) {
  return [
    "| | service | floor | ratio (spread) | processor time | goal | |",
    "|---|--:|--:|--:|--:|--:|---|",
    ...rows.map(({ what, unit, ours, other, ratio, cpu, goal }) => {
      const values = [`${number(ours.median)} ${unit}`, `${number(other.median)} ${unit}`, withSpread(ratio)];
      return `| ${[what, ...values, cpu ? `× ${cpu.median.toFixed(2)}` : "", ...verdict(ratio, goal)].join(" | ")} |`;
    }),
  ].join("\n");
}

/** @param {Spread} ratio @param {Row["goal"]} goal */
function verdict({ median }, goal) {
  if (goal === null) return ["", ""];
  const met = isTime(goal) ? median <= goal.most : median >= goal.least;
  return [isTime(goal) ? `≤ ${goal.most}` : `≥ ${goal.least}`, met ? "met" : "missed"];
}

/** @param {Row["goal"]} goal @returns {goal is { most: number }} */
function isTime(goal) {
  return goal !== null && "most" in goal;
}

/**
 * @param {{ rows: Row[], peer: import("./peer.mjs").PeerResult, weight: import("./weight.mjs").Weight, rounds: number }} results
 */
export function renderReport({ rows, peer, weight, rounds }) {
  const isGrowth = ({ id = "" }) => id.startsWith("growth-");
  return `# What was measured

Written by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: ${machine()}.
Each ratio is the median of ${rounds} rounds, in each of which both sides take their turn; the spread is from the lowest round to
the highest. *Processor time* is that of the runtime's process for one request, ours ÷ theirs: of all these numbers it
moves least with what else the machine does. Both run on the local runtime, whose storage shares that process, so that
absolute numbers say nothing of Cloudflare's network. Memory has a measurement of its own: \`npm run bench:memory\`.

## Beside a floor

\`bench/floor\` does the same storage operations for each request, writes the same rows, and does nothing else.
The provider answers at once with the same picture of 1 MB; what it takes by itself is subtracted from the first two rows.

${renderTable(rows.filter((row) => !isGrowth(row)))}

*Models* reads nothing, so that it shows what surrounds every request: the line in the log (a floor that writes one as well
stands in the row below), Hono's context and chain of handlers, the id and the headers. Every answer has an id that the
log carries, so neither is left out. The service writes the list out once, the floor for each request.

## Beside itself when it was small

One request at a time. *Service*: 1,000,000 generations in the log; an account with 100,000 entries and 1,000 live grants.
*Floor*: the same service with 1,000 generations and entries, and 10 grants.

${renderTable(rows.filter(isGrowth))}

## Beside a gateway that keeps nothing

${renderPeer(peer)}

## Weight

As it is deployed, minified, in one file. The sign-in library is run when a page first needs it; the pages are there from
the start. Without both is what programs call, built by itself (\`bench/api\`).

| | KiB | compressed | processor time to start |
|---|--:|--:|--:|
${weightLine("the whole Worker", weight.whole)}
${weightLine("without pages and sign-in", weight.api)}

What is in the whole of it, in KiB before compression:

| part | KiB |
|---|--:|
${weight.parts.map(({ name, kib }) => `| ${name} | ${number(kib)} |`).join("\n")}
`;
}

/** @param {string} what @param {import("./weight.mjs").Size} size */
function weightLine(what, { kib, gzipKib, startupMs: { median, low, high } }) {
  const start = `${number(median)} ms (${number(low)}–${number(high)})`;
  return `| ${[what, number(kib), number(gzipKib), start].join(" | ")} |`;
}

/** @param {import("./peer.mjs").PeerResult} peer */
function renderPeer(peer) {
  if (peer.kind === "skipped") return `Not measured: ${peer.why}.`;
  const { residentMiB } = peer;
  const ahead = peer.added
    .filter(({ added }) => added.peer.median < added.ours.median)
    .map(({ connections }) => `with ${connections} at a time`);
  return `Portkey's gateway in front of the same provider in the same run: time added to a call of the provider. It checks no key, charges
nothing and stores no picture; it passes the provider's answer on, and its caller has the picture in the answer itself.

| at a time | service, median | gateway, median | service, p99 | gateway, p99 |
|--:|--:|--:|--:|--:|
${peer.added
  .map(({ connections, added: { ours, peer: theirs } }) => {
    const cells = [ours.median, theirs.median, ours.p99, theirs.p99].map((value) => `${number(value)} ms`);
    return `| ${[connections, ...cells].join(" | ")} |`;
  })
  .join("\n")}

Peak memory with four pictures of 15 MB at a time: service ${number(residentMiB.ours.busy)} MiB (${number(residentMiB.ours.idle)} at rest, with the whole local
runtime and its storage), gateway ${number(residentMiB.peer.busy)} MiB (${number(residentMiB.peer.idle)} at rest).

${ahead.length > 0 ? `The gateway adds less time ${ahead.join(" and ")}.` : "The gateway does not add less time."} It is ahead in all that it need not do: it writes nothing, so it needs no
storage and has nothing to lose. The service has more to show afterwards: the picture at an address, the charge, the refund
when it failed, and the generation when the caller hung up.`;
}

function machine() {
  const { model = "unknown processor" } = cpus()[0] ?? {};
  const packages = ["miniflare", "workerd", "wrangler"].map((name) => `${name} ${versionOf(name)}`);
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  return [
    `${cpus().length} cores (${model.trim()})`,
    memory,
    `Node ${process.versions.node}`,
    ...packages,
  ].join(", ");
}

/** @param {string} name */
function versionOf(name) {
  return JSON.parse(readFileSync(join(root, `node_modules/${name}/package.json`), "utf8")).version;
}

/** @param {Spread} spread */
function withSpread({ median, low, high }) {
  return `${median.toFixed(2)} (${low.toFixed(2)}–${high.toFixed(2)})`;
}

/** @param {number} value */
function number(value) {
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 1 : 0 });
}
