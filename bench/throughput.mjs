/** Compares the service with the floor, which writes the same rows for the same requests, without logic. */
import { drive, interleave, quantile, spread } from "./load.mjs";
import { startProvider, startWorker } from "./worker.mjs";

const IMAGE_BYTES = 1_000_000;
const USERS = 16;
const REQUEST = { model: "gpt-image-2", prompt: "a lighthouse at dusk, oil on canvas", size: "1024x1024" };
const SYNC = JSON.stringify(REQUEST);
const ASYNC = JSON.stringify({ ...REQUEST, async: true });

/**
 * @typedef {import("./load.mjs").Call} Call
 * @typedef {import("./load.mjs").Load} Load
 * @typedef {import("./load.mjs").Spread} Spread
 * @typedef {import("./worker.mjs").Worker & { users: import("./worker.mjs").User[] }} Contestant
 * @typedef {{ directories: { ours: string, floor: string, object: string }, rounds: number, scale: number, large: number, say: (line: string) => void, stop: AbortSignal }} Bench
 * `scale` multiplies the number of requests; `large` is the number of generations in a long log
 * @typedef {{ id: string, what: string, unit: string, ours: Spread, other: Spread, ratio: Spread, cpu: Spread | null,
 *   goal: { most: number } | { least: number } | null }} Row `cpu` is the ratio of processor time a request, `ours` above
 */

/** @param {Bench} bench @returns {Promise<Row[]>} */
export async function measureThroughput(bench) {
  return [...(await syncOverhead(bench)), ...(await rates(bench)), ...(await hotAccount(bench))];
}

/** @param {Bench} bench */
async function syncOverhead({ directories, rounds, scale, say, stop }) {
  const provider = await startProvider(IMAGE_BYTES);
  const ours = await contestant(directories.ours, provider.url);
  const floor = await contestant(directories.floor, provider.url);
  try {
    const rows = [];
    for (const connections of [1, 16]) {
      say(`sync generations, ${connections} at a time`);
      const count = Math.ceil((connections === 1 ? 40 : 96) * scale);
      const results = await interleave(
        { rounds, stop },
        {
          ours: () => drive(ours, { connections, count, call: (index) => post(ours, index, SYNC) }),
          floor: () => drive(floor, { connections, count, call: (index) => post(floor, index, SYNC) }),
          direct: () =>
            drive({ origin: new URL(provider.url).origin }, { connections, count, call: () => direct(SYNC) }),
        },
      );
      const added = (/** @type {"ours" | "floor"} */ name) =>
        results.map((loads) => median(loads[name]) - median(loads.direct));
      const many = connections === 1 ? "one at a time" : `${connections} at a time`;
      rows.push(
        compare(`sync-${connections}`, `sync generation beyond the provider, ${many}`, "ms", results, {
          ours: added("ours"),
          other: added("floor"),
          goal: { most: 1.3 },
        }),
      );
    }
    return rows;
  } finally {
    await Promise.all([ours.stop(), floor.stop()]);
    provider.stop();
  }
}

/** @param {Bench} bench */
async function rates({ directories, rounds, scale, say, stop }) {
  const provider = await startProvider(1_000);
  const ours = await contestant(directories.ours, provider.url);
  const floor = await contestant(directories.floor, provider.url);
  try {
    const made = { ours: await make(ours), floor: await make(floor) };
    /** @type {[id: string, what: string, least: number | null, count: number, call: (worker: Contestant, ids: string[]) => (index: number) => Call][]} */
    const kinds = [
      [
        "read",
        "reading a generation",
        0.8,
        900,
        (worker, ids) => (index) => get(worker, index, `/api/v1/generations/${ids[index % ids.length]}`),
      ],
      ["credits", "credits", 0.8, 900, (worker) => (index) => get(worker, index, "/api/v1/credits")],
      ["models", "models", 0.9, 12_000, (worker) => (index) => get(worker, index, "/api/v1/models")],
      [
        "models-logged",
        "models, compared with a floor that also writes a log line",
        null,
        12_000,
        (worker) => (index) => get(worker, index, worker === floor ? "/logged/models" : "/api/v1/models"),
      ],
      // Runs last: its accounts keep working on the generations that it leaves, which would disturb a following row.
      [
        "async",
        "async generation, accepted",
        0.7,
        600,
        (worker) => (index) => post(worker, index, ASYNC, 202),
      ],
    ];
    const rows = [];
    for (const [id, what, least, base, call] of kinds) {
      say(what);
      const options = { connections: 16, count: Math.ceil(base * scale) };
      const results = await interleave(
        { rounds, stop },
        {
          ours: () => drive(ours, { ...options, call: call(ours, made.ours) }),
          floor: () => drive(floor, { ...options, call: call(floor, made.floor) }),
        },
      );
      rows.push(compareRates(id, what, results, least));
    }
    return rows;
  } finally {
    await Promise.all([ours.stop(), floor.stop()]);
    provider.stop();
  }
}

/** @param {Bench} bench */
async function hotAccount({ directories, rounds, scale, say, stop }) {
  const provider = "http://127.0.0.1:1/v1";
  const ours = await contestant(directories.ours, provider);
  const object = await contestant(directories.object, provider);
  const floor = await contestant(directories.floor, provider);
  try {
    const options = { connections: 16, count: Math.ceil(600 * scale) };
    /** @param {Contestant} worker */
    const write = (worker) => () => {
      const headers = { "X-User": worker.users[0]?.id ?? "" };
      return drive(worker, {
        ...options,
        call: () => ({ method: "POST", path: "/rows", headers, body: SYNC }),
      });
    };
    say("one hot account");
    const alone = await interleave({ rounds, stop }, { ours: write(object), floor: write(floor) });
    const whole = await interleave(
      { rounds, stop },
      {
        ours: () => drive(ours, { ...options, call: () => post(ours, 0, ASYNC, 202) }),
        floor: write(floor),
      },
    );
    return [
      compareRates("hot", "submissions to one account, compared with its rows alone", alone, 0.5),
      compareRates("hot-door", "the same through the API, with key, queue and response", whole, null),
    ];
  } finally {
    await Promise.all([ours.stop(), object.stop(), floor.stop()]);
  }
}

/**
 * @param {string} directory
 * @param {string} provider
 * @returns {Promise<Contestant>}
 */
export async function contestant(directory, provider) {
  const worker = await startWorker(directory, { provider });
  return { ...worker, users: await worker.addUsers(USERS) };
}

/** Makes some generations of each user, in turn, and returns their ids. @param {Contestant} worker */
async function make(worker) {
  const options = { connections: 1, count: 4 * USERS, keep: true };
  const { answers } = await drive(worker, { ...options, call: (index) => post(worker, index, SYNC) });
  return answers.map((text) => String(JSON.parse(text).id));
}

/**
 * @param {Contestant} worker
 * @param {number} index
 * @param {string} body
 * @param {number} [status]
 * @returns {Call}
 */
export function post({ users }, index, body, status = 200) {
  const headers = { ...authorization(users, index), "Content-Type": "application/json" };
  return { method: "POST", path: "/api/v1/images/generations", headers, body, status };
}

/** @param {Contestant} worker @param {number} index @param {string} path @returns {Call} */
export function get({ users }, index, path) {
  return { path, headers: authorization(users, index) };
}

/** @param {string} body @returns {Call} */
export function direct(body) {
  const headers = { Authorization: "Bearer sk-test", "Content-Type": "application/json" };
  return { method: "POST", path: "/v1/images/generations", headers, body };
}

/** @param {import("./worker.mjs").User[]} users @param {number} index */
function authorization(users, index) {
  return { Authorization: `Bearer ${users[index % users.length]?.key}` };
}

/** @param {Load} load */
export function median({ milliseconds }) {
  return quantile(milliseconds, 0.5);
}

/**
 * @param {string} id
 * @param {string} what
 * @param {Record<"ours" | "floor", Load>[]} results
 * @param {number | null} least
 */
function compareRates(id, what, results, least) {
  return compare(id, what, "requests/s", results, {
    ours: results.map(({ ours }) => ours.perSecond),
    other: results.map(({ floor }) => floor.perSecond),
    goal: least === null ? null : { least },
  });
}

/**
 * @param {string} id
 * @param {string} what
 * @param {string} unit
 * @param {Record<"ours" | "floor", Load>[]} results one for each round, as are `ours` and `other`
 * @param {{ ours: number[], other: number[], goal: Row["goal"] }} values
 * @returns {Row}
 */
export function compare(id, what, unit, results, { ours, other, goal }) {
  const cpu = results.map((loads) => loads.ours.cpuMs / loads.floor.cpuMs);
  return {
    id,
    what,
    unit,
    ours: spread(ours),
    other: spread(other),
    ratio: spread(ours.map((value, round) => value / (other[round] ?? Number.NaN))),
    cpu: cpu.every(Number.isFinite) ? spread(cpu) : null,
    goal,
  };
}
