/** Does the measuring for memory.mjs, on the project's own Node. */
import { readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startDouble } from "../test/support/openai-double/index.ts";
import { startHub } from "./hub.mjs";

const MB = 1_000_000;
const MIB = 1024 * 1024;
/**
 * How much more a request may hold at the median look than the one of its kind that holds least, however much passes
 * through it: a part of 5 MiB, the smallest that R2 takes, and a little besides. The peak is shown and not judged: it
 * counts garbage that was not collected yet.
 */
const GROWTH_BYTES_MAX = 8 * MIB;
/** And how much it may hold at all: what is held alike by every request would not show as growth. */
const LIVE_BYTES_MAX = 12 * MIB;
const SAMPLE_EVERY_MS = 50;
/** A case that is over sooner is done again, until it was looked at so often. */
const LOOKS_MIN = 20;
const SIDE_BY_SIDE = 8;
/** The largest form alone; eight of it side by side would take a quarter of an hour and say no more. */
const UPLOADED_BYTES_MAX = 1_300 * MB;

/**
 * @typedef {{ name: string, family: "images" | "references", work: import("./hub.mjs").Work }} Case
 * @typedef {{ family: string, name: string, requests: number, idle: number, samples: number,
 *   median: number, peak: number, resident: number, seconds: number }} Row
 */

const CASES = [
  images(1, 1),
  images(4, 4),
  images(4, 15),
  references(16, 1),
  references(16, 10),
  references(16, 50),
];
const SMOKE = [images(1, 1), images(4, 15), references(16, 1), references(16, 30)];

const [directory = "", mode] = process.argv.slice(2);
const smoke = mode === "--smoke";
const rows = await measureAll();
const verdicts = [...new Set(rows.map(({ family }) => family))].map(judge);
const report = [table(rows), ...verdicts.map(({ text }) => text)].join("\n\n");
console.log(report);
if (!smoke) writeFileSync(join(fileURLToPath(import.meta.url), "../memory.md"), document(report));
process.exitCode = verdicts.every(({ holds }) => holds) ? 0 : 1;

/** @param {number} count @param {number} size in MB @returns {Case} */
function images(count, size) {
  const work = { images: count, imageBytes: size * MB, references: 0, referenceBytes: 0 };
  return { name: `text to ${count} × ${size} MB`, family: "images", work };
}

/** @param {number} count @param {number} size in MB @returns {Case} */
function references(count, size) {
  const work = { images: 1, imageBytes: MB, references: count, referenceBytes: size * MB };
  return { name: `${count} × ${size} MB references to 1 × 1 MB`, family: "references", work };
}

/** @returns {Promise<Row[]>} */
async function measureAll() {
  const double = await startDouble();
  try {
    /** @type {Row[]} */
    const measured = [];
    for (const requests of smoke ? [1] : [1, SIDE_BY_SIDE]) {
      for (const one of smoke ? SMOKE : CASES) {
        const { references, referenceBytes } = one.work;
        if (requests * references * referenceBytes > UPLOADED_BYTES_MAX) continue;
        const row = await measure(one, requests, double.url);
        console.log(
          `${row.requests} × ${row.name}: ${mib(row.median)} MiB, at most ${mib(row.peak)} (${row.seconds.toFixed(1)} s)`,
        );
        measured.push(row);
      }
    }
    return measured;
  } finally {
    await double.close();
  }
}

/**
 * One case, in a runtime of its own: warmed up, then watched while the requests run.
 * @param {Case} one
 * @param {number} requests
 * @param {string} providerUrl
 * @returns {Promise<Row>}
 */
async function measure({ name, family, work }, requests, providerUrl) {
  const hub = await startHub(directory, join(directory, `state-${requests}-${name}`), providerUrl);
  try {
    const few = Math.min(work.references, 1);
    await hub.generate({ images: 1, imageBytes: 20_000, references: few, referenceBytes: 20_000 });
    const idle = await hub.liveBytes();
    const began = performance.now();
    /** @type {number[]} */
    const looks = [];
    while (looks.length < LOOKS_MIN) {
      const all = Promise.all(Array.from({ length: requests }, () => hub.generate(work)));
      looks.push(...(await watch(all, hub.liveBytes)));
    }
    looks.sort((a, b) => a - b);
    const [median = Number.NaN, peak = Number.NaN] = [looks[looks.length >> 1], looks.at(-1)];
    return {
      ...{ family, name, requests, idle, samples: looks.length },
      median: (median - idle) / requests,
      peak: (peak - idle) / requests,
      resident: hub.peakResidentBytes(),
      seconds: (performance.now() - began) / 1000,
    };
  } finally {
    await hub.stop();
  }
}

/**
 * What was live at each look while the work lasted.
 * @param {Promise<unknown>} work
 * @param {() => Promise<number>} liveBytes
 */
async function watch(work, liveBytes) {
  let running = true;
  const done = work.finally(() => {
    running = false;
  });
  done.catch(() => {});
  /** @type {number[]} */
  const looks = [];
  while (running) {
    looks.push(await liveBytes());
    await Promise.race([sleep(SAMPLE_EVERY_MS), done]);
  }
  await done;
  return looks;
}

/**
 * Holds the cases of a family to each other: what a request holds must not grow with what passes through it.
 * @param {string} family
 */
function judge(family) {
  const members = rows.filter((row) => row.family === family);
  /** @param {"median" | "peak"} what */
  const told = (what) => {
    const values = members.map((row) => row[what]);
    return `${what} ${mib(Math.min(...values))} to ${mib(Math.max(...values))}`;
  };
  const medians = members.map(({ median }) => median);
  const [least, most] = [Math.min(...medians), Math.max(...medians)];
  const holds = most - least <= GROWTH_BYTES_MAX && most <= LIVE_BYTES_MAX;
  const rule = `the medians may differ by ${mib(GROWTH_BYTES_MAX)} and be ${mib(LIVE_BYTES_MAX)}`;
  const verdict = `${rule}: ${holds ? "held" : "BROKEN"}`;
  return { holds, text: `Live MiB a request, ${family}: ${told("median")}, ${told("peak")}; ${verdict}.` };
}

/** @param {Row[]} all */
function table(all) {
  const head = [
    "A request",
    "Side by side",
    "Idle, MiB",
    "Median a request, MiB",
    "Peak a request, MiB",
    "Looks",
    "Peak RSS, MiB",
    "Seconds",
  ];
  const lines = all.map((row) => [
    row.name,
    String(row.requests),
    ...[row.idle, row.median, row.peak].map(mib),
    String(row.samples),
    mib(row.resident),
    row.seconds.toFixed(1),
  ]);
  const widths = head.map((title, column) =>
    Math.max(...[title, ...lines.map((line) => line[column] ?? "")].map(({ length }) => length)),
  );
  /** @param {string[]} cells @param {string} [fill] */
  const line = (cells, fill) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0, fill)).join(" | ")} |`;
  return [
    line(head),
    line(
      head.map(() => ""),
      "-",
    ),
    ...lines.map((cells) => line(cells)),
  ].join("\n");
}

/** @param {number} bytes */
function mib(bytes) {
  return (bytes / MIB).toFixed(1);
}

/** @param {string} measured */
function document(measured) {
  const { version } = JSON.parse(
    readFileSync(join(fileURLToPath(import.meta.url), "../../node_modules/workerd/package.json"), "utf8"),
  );
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${arch()}, Node ${process.versions.node}, workerd ${version}`;
  return `# Memory

Written by \`npm run bench:memory\` on: ${machine}.

The built Worker runs on workerd, with its Durable Objects, D1, R2 and queue on disk, and a stand-in for the provider that speaks its wire format over HTTP. Each row has a runtime of its own, warmed up by one small request. The requests are made again until there were ${LOOKS_MIN} looks; in a look the inspector is asked to collect garbage and to tell what is left: V8's heap and the memory behind its array buffers, of the one isolate that all of the Worker runs in. What a look saw beyond idle, divided by the requests, is what a request holds: the median of the looks, and the most. A look also counts what became garbage between the collection and the count, so the most is an upper bound. On Cloudflare an isolate has 128 MB for all of its requests; workerd on a laptop does not enforce that. Peak RSS is of the whole process: the local R2 and D1, the requests' buffers and whatever V8 has not collected yet are in it, and it is shown only so that nothing hides there. The 16 × 50 MB form is measured alone only. 1 MB is 1,000,000 bytes, 1 MiB 1,048,576.

${measured}
`;
}
