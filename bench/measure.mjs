/** The measurement of memory.mjs, run on the project's own Node. */
import { readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { startDouble as startBlackForestLabs } from "../test/support/bfl-double/index.ts";
import { startDouble as startFal } from "../test/support/fal-double/index.ts";
import { startDouble as startGoogle } from "../test/support/google-double/index.ts";
import { startDouble as startOpenAI } from "../test/support/openai-double/index.ts";
import { servePictures, startHub } from "./hub.mjs";

const MB = 1_000_000;
const MIB = 1024 * 1024;
/** A part of an upload to R2, the smallest that it accepts: held until it is full. */
const PART_BYTES = 5 * MIB;
/** Each provider's double, the settings of a deployment that calls only it, and the fields of a request that it gets. */
const PROVIDERS = {
  OpenAI: {
    start: startOpenAI,
    settingsFor: (/** @type {string} */ url) => ({ OPENAI_API_KEY: "sk-test", OPENAI_BASE_URL: url }),
    fields: { model: "gpt-image-2", size: "2048x2048" },
  },
  Google: {
    start: startGoogle,
    settingsFor: (/** @type {string} */ url) => ({ GEMINI_API_KEY: "AIza-test", GEMINI_BASE_URL: url }),
    fields: { model: "gemini-nano-banana-2.1" },
  },
  "Black Forest Labs": {
    start: startBlackForestLabs,
    settingsFor: (/** @type {string} */ url) => ({ BFL_API_KEY: "bfl-test", BFL_BASE_URL: url }),
    fields: { model: "flux-2-pro" },
  },
  fal: {
    start: startFal,
    settingsFor: (/** @type {string} */ url) => ({ FAL_KEY: "fal:test", FAL_BASE_URL: url }),
    fields: { model: "flux-2-pro" },
  },
};
/**
 * How much more memory than its parts a request may need at the median than the smallest of its family, however large
 * its data. The peak is shown but not checked, because it includes garbage.
 */
const GROWTH_BYTES_MAX = 3 * MIB;
/** The most memory per request beside its parts: a constant amount in every request would not show as growth. */
const LIVE_BYTES_MAX = 7 * MIB;
const SAMPLE_EVERY_MS = 50;
/** A case is repeated until it has this many samples. */
const SAMPLES_MIN = 20;
const SIDE_BY_SIDE = 8;
/** The largest form runs alone: eight in parallel would take a quarter of an hour and add nothing. */
const UPLOADED_BYTES_MAX = 1_300 * MB;

/**
 * `parts`: how many a request holds at a time.
 * @typedef {keyof typeof PROVIDERS} Provider
 * @typedef {{ name: string, family: string, parts: number, provider: Provider,
 *   work: import("./hub.mjs").Work }} Case
 * @typedef {{ family: string, parts: number, name: string, requests: number, idle: number, samples: number,
 *   median: number, peak: number, resident: number, seconds: number }} Row
 */

const CASES = [
  images(1, 1),
  images(4, 4),
  images(4, 15),
  images(1, 1, "Google"),
  images(4, 15, "Google"),
  images(1, 1, "Black Forest Labs"),
  images(4, 15, "Black Forest Labs"),
  images(1, 1, "fal"),
  images(4, 15, "fal"),
  references(16, 1),
  references(16, 10),
  references(16, 50),
  fetched(16, 1),
  fetched(16, 10),
];
const SMOKE = [
  images(1, 1),
  images(4, 15),
  images(4, 15, "Google"),
  images(4, 15, "Black Forest Labs"),
  images(4, 15, "fal"),
  references(16, 1),
  references(16, 10),
  fetched(16, 1),
  fetched(16, 10),
];

const [directory = "", mode] = process.argv.slice(2);
const smoke = mode === "--smoke";
const rows = await measureAll();
const verdicts = [...new Set(rows.map(({ family }) => family))].map(judge);
const report = [table(rows), ...verdicts.map(({ text }) => text)].join("\n\n");
console.log(report);
if (!smoke) writeFileSync(join(fileURLToPath(import.meta.url), "../memory.md"), document(report));
process.exitCode = verdicts.every(({ holds }) => holds) ? 0 : 1;

/** @param {number} count @param {number} size in MB @param {Provider} [provider] @returns {Case} */
function images(count, size, provider = "OpenAI") {
  const { fields } = PROVIDERS[provider];
  const work = { fields, images: count, imageBytes: size * MB, references: 0, referenceBytes: 0 };
  const from = provider === "OpenAI" ? "" : ` from ${provider}`;
  return { name: `text to ${count} × ${size} MB${from}`, family: `images${from}`, parts: 1, provider, work };
}

/** @param {number} count @param {number} size in MB @returns {Case} */
function references(count, size) {
  const { fields } = PROVIDERS.OpenAI;
  const work = { fields, images: 1, imageBytes: MB, references: count, referenceBytes: size * MB };
  const name = `${count} × ${size} MB references to 1 × 1 MB`;
  return { name, family: "references", parts: 1, provider: "OpenAI", work };
}

/** @param {number} count @param {number} size in MB @returns {Case} */
function fetched(count, size) {
  const { work, provider } = references(count, size);
  const name = `${count} × ${size} MB by URL to 1 × 1 MB`;
  // Two URLs are fetched side by side.
  return { name, family: "URLs", parts: 2, provider, work: { ...work, urls: "" } };
}

/** @returns {Promise<Row[]>} */
async function measureAll() {
  /** @type {Row[]} */
  const measured = [];
  for (const requests of smoke ? [1] : [1, SIDE_BY_SIDE]) {
    for (const one of smoke ? SMOKE : CASES) {
      const { references, referenceBytes } = one.work;
      if (requests * references * referenceBytes > UPLOADED_BYTES_MAX) continue;
      const row = await measure(one, requests);
      console.log(
        `${row.requests} × ${row.name}: ${mib(row.median)} MiB, at most ${mib(row.peak)} (${row.seconds.toFixed(1)} s)`,
      );
      measured.push(row);
    }
  }
  return measured;
}

/**
 * Measures one case with its own runtime and double: warms up, then samples while the requests run.
 * @param {Case} one
 * @param {number} requests
 * @returns {Promise<Row>}
 */
async function measure({ name, family, parts, provider, work }, requests) {
  const { start, settingsFor } = PROVIDERS[provider];
  const double = await start();
  const state = join(directory, `state-${requests}-${name}`);
  const hub = await startHub(directory, state, settingsFor(double.url));
  const pictures = await servePictures(work.referenceBytes);
  const asked = work.urls === undefined ? work : { ...work, urls: pictures.url };
  try {
    const few = Math.min(work.references, 1);
    await hub.generate({ ...asked, images: 1, imageBytes: 20_000, references: few, referenceBytes: 20_000 });
    const idle = await hub.liveBytes();
    const began = performance.now();
    /** @type {number[]} */
    const samples = [];
    while (samples.length < SAMPLES_MIN) {
      const all = Promise.all(Array.from({ length: requests }, () => hub.generate(asked)));
      samples.push(...(await watch(all, hub.liveBytes)));
    }
    samples.sort((a, b) => a - b);
    const [median = Number.NaN, peak = Number.NaN] = [samples[samples.length >> 1], samples.at(-1)];
    return {
      ...{ family, parts, name, requests, idle, samples: samples.length },
      median: (median - idle) / requests,
      peak: (peak - idle) / requests,
      resident: hub.peakResidentBytes(),
      seconds: (performance.now() - began) / 1000,
    };
  } finally {
    pictures.close();
    await hub.stop();
    await double.close();
  }
}

/**
 * Samples the live memory while the work lasts.
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
  const samples = [];
  while (running) {
    samples.push(await liveBytes());
    await Promise.race([sleep(SAMPLE_EVERY_MS), done]);
  }
  await done;
  return samples;
}

/**
 * Compares the cases of a family: the memory of a request must not grow with the size of its data.
 * @param {string} family
 */
function judge(family) {
  const members = rows.filter((row) => row.family === family);
  /** @param {"median" | "peak"} what */
  const range = (what) => {
    const values = members.map((row) => row[what]);
    return `${what} ${mib(Math.min(...values))} to ${mib(Math.max(...values))}`;
  };
  const medians = members.map(({ median }) => median);
  const [least, most] = [Math.min(...medians), Math.max(...medians)];
  const parts = Math.max(...members.map((row) => row.parts)) * PART_BYTES;
  const [growthMax, liveMax] = [parts + GROWTH_BYTES_MAX, parts + LIVE_BYTES_MAX];
  const holds = most - least <= growthMax && most <= liveMax;
  const rule = `the medians may differ by at most ${mib(growthMax)}, and be at most ${mib(liveMax)}`;
  const verdict = `${rule}: ${holds ? "held" : "VIOLATED"}`;
  return {
    holds,
    text: `Live MiB per request, ${family}: ${range("median")}, ${range("peak")}; ${verdict}.`,
  };
}

/** @param {Row[]} all */
function table(all) {
  const head = [
    "Request",
    "Concurrent",
    "Idle, MiB",
    "Median per request, MiB",
    "Peak per request, MiB",
    "Samples",
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

Generated by \`npm run bench:memory\` on: ${machine}.

The built Worker runs on workerd with its Durable Objects, D1, R2 and queue on disk, and a double of the provider that speaks its wire format over HTTP: OpenAI's, unless the row names another. Each row has its own runtime, warmed up by one small request. Requests are repeated until there are ${SAMPLES_MIN} samples. A sample collects garbage through the inspector and reads the remaining memory: V8's heap and the memory of its array buffers, in the one isolate that the whole Worker runs in. The memory of a request is the sampled memory minus the idle memory, divided by the concurrent requests; the table has the median and the peak of the samples. A sample also counts garbage that appeared after the collection, so the peak is an upper bound. On Cloudflare, an isolate has 128 MB for all its requests; local workerd does not enforce that. Peak RSS is for the whole process, including local R2 and D1, request buffers and uncollected garbage. The 16 × 50 MB form is measured only alone. 1 MB is 1,000,000 bytes, 1 MiB is 1,048,576.

${measured}
`;
}
