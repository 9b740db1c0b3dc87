/** Compares the service with itself at a thousand times the size: a long log, and an account with a long ledger. */
import { drive, interleave } from "./load.mjs";
import { compare, contestant, get, median, post } from "./throughput.mjs";
import { CREDITS, startProvider } from "./worker.mjs";

const REQUEST = { model: "gpt-image-2", prompt: "a lighthouse at dusk, oil on canvas", size: "1024x1024" };
const SMALL = { generations: 1_000, entries: 1_000, grants: 10 };
const LARGE = { entries: 100_000, grants: 1_000 };
/** The log is filled in pieces, because one statement may not take long. */
const FILLED_AT_ONCE = 100_000;
const ROWS_OF_A_USER = 1_000;

/**
 * @param {import("./throughput.mjs").Bench} bench
 * @returns {Promise<import("./throughput.mjs").Row[]>}
 */
export async function measureGrowth({ directories, rounds, scale, large: generations, say, stop }) {
  const provider = await startProvider(1_000);
  const small = await contestant(directories.ours, provider.url);
  const large = await contestant(directories.ours, provider.url);
  try {
    say(`filling the log with ${generations.toLocaleString("en")} generations`);
    await fill(small, SMALL);
    await fill(large, { ...LARGE, generations });
    /** @typedef {import("./throughput.mjs").Contestant} Contestant */
    /** @type {[id: string, what: string, count: number, call: (worker: Contestant) => (index: number) => import("./load.mjs").Call][]} */
    const kinds = [
      [
        "submit",
        "submitting",
        200,
        (worker) => () => post(worker, 0, JSON.stringify({ ...REQUEST, async: true }), 202),
      ],
      ["finish", "a whole sync generation", 100, (worker) => () => post(worker, 0, JSON.stringify(REQUEST))],
      ["credits", "credits", 300, (worker) => () => get(worker, 0, "/api/v1/credits")],
      [
        "read",
        "reading back",
        300,
        (worker) => (index) => get(worker, 0, `/api/v1/generations/${filledId(index * 3)}`),
      ],
    ];
    const rows = [];
    for (const [id, what, base, call] of kinds) {
      say(`${what}, with a long history`);
      const options = { connections: 1, count: Math.ceil(base * scale) };
      const results = await interleave(
        { rounds, stop },
        {
          ours: () => drive(large, { ...options, call: call(large) }),
          floor: () => drive(small, { ...options, call: call(small) }),
        },
      );
      rows.push(
        compare(`growth-${id}`, `${what}, with a long history`, "ms", results, {
          ours: results.map((loads) => median(loads.ours)),
          other: results.map((loads) => median(loads.floor)),
          goal: { most: 1.2 },
        }),
      );
    }
    return rows;
  } finally {
    await Promise.all([small.stop(), large.stop()]);
    provider.stop();
  }
}

/**
 * Fills the ledger of the first user and the log of all users.
 * @param {import("./throughput.mjs").Contestant} worker
 * @param {typeof SMALL} size
 */
async function fill({ users, logDatabase, execInAccount }, { generations, entries, grants }) {
  const id = users[0]?.id ?? "";
  const each = CREDITS / grants;
  await execInAccount(id, "DELETE FROM grants");
  await execInAccount(
    id,
    `INSERT INTO grants SELECT 'grant' || value, ${each}, ${each}, 4000000000000 + value, 'invoice', value, 0
     FROM (${numbers(0, grants)})`,
  );
  await execInAccount(
    id,
    `INSERT INTO entries (kind, credits, balance_after, generation_id, grant_id, created_at)
     SELECT 'charge', -8, ${CREDITS}, 'gen_' || printf('%026d', value), 'grant0', value FROM (${numbers(1, entries)})`,
  );
  await execInAccount(id, "UPDATE told SET entries = (SELECT max(seq) FROM entries)");
  for (let from = 0; from < generations; from += FILLED_AT_ONCE) {
    const rows = numbers(from, Math.min(generations, from + FILLED_AT_ONCE));
    const user = `'user_bench' || printf('%04d', value / ${ROWS_OF_A_USER})`;
    await logDatabase.batch([
      logDatabase.prepare(
        `INSERT INTO generations SELECT ${user}, ${FILLED_ID}, 'succeeded', 'gpt-image-2', value, value + 20000, 8, 0,
           '${JSON.stringify(LOGGED_REQUEST)}', NULL, replace('${JSON.stringify([LOGGED_IMAGE])}', '@', value), NULL FROM (${rows})`,
      ),
      logDatabase.prepare(
        `INSERT INTO credit_entries SELECT ${user}, 10000000 + value, 'charge', -8, ${CREDITS}, ${FILLED_ID}, 'grant0', value
         FROM (${rows})`,
      ),
    ]);
  }
}

const FILLED_ID = "'gen_' || printf('%026d', value)";
const ORIGIN = "https://images.example.com";
const LOGGED_REQUEST = {
  ...{ prompt: REQUEST.prompt, aspectRatio: "1:1", tier: "1K", size: { width: 1024, height: 1024 } },
  ...{ renderQuality: "auto", n: 1, outputFormat: "png", references: 0, origin: ORIGIN },
};
const LOGGED_IMAGE = {
  ...{ id: "img_01M81RS28VBCRC1AJZQCSJ4E8S", key: "gen_@/img_01M81RS28VBCRC1AJZQCSJ4E8S.png" },
  ...{ contentType: "image/png", width: 1024, height: 1024, bytes: 1_234_567, createdAt: 1_795_000_000_000 },
};

/** The id of a generation of the first user that every log here has. @param {number} index */
function filledId(index) {
  return `gen_${String(index % SMALL.generations).padStart(26, "0")}`;
}

/** A query for the whole numbers from `first` to before `end`, as `value`. @param {number} first @param {number} end */
function numbers(first, end) {
  return `WITH RECURSIVE n(value) AS (SELECT ${first} UNION ALL SELECT value + 1 FROM n WHERE value + 1 < ${end})
    SELECT value FROM n`;
}
