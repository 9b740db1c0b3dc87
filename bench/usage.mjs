/**
 * `npm run bench:usage`: measures the usage report, and the check of a key's limit, after a thousand and after a million
 * generations of a year. It runs the account's own tables, trigger and queries in SQLite; writes bench/usage.md.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { migrate } from "../src/account/schema.ts";
import { UsageStore } from "../src/account/store/usage.ts";

const DAYS = 366;
const FIRST_DAY = 20_000;
const DAY_MS = 86_400_000;
const KEYS = 3;
const ROUNDS = 50;
const ALL = { livemode: true, firstDay: FIRST_DAY, lastDay: FIRST_DAY + DAYS - 1 };
const BY = { day: true, key: true, model: true };

/** What the account's code uses of `SqlStorage`, over Node's SQLite. @param {DatabaseSync} database */
function storageOf(database) {
  /** @param {string} query @param {...(string | number | null)} values */
  const exec = (query, ...values) => {
    if (values.length === 0 && !/^\s*(SELECT|WITH)/.test(query)) {
      database.exec(query);
      return { toArray: () => [], one: () => ({}), [Symbol.iterator]: () => [][Symbol.iterator]() };
    }
    const rows = database.prepare(query).all(...values);
    return { toArray: () => rows, one: () => rows[0], [Symbol.iterator]: () => rows[Symbol.iterator]() };
  };
  return { sql: { exec }, transactionSync: (/** @type {() => unknown} */ work) => work() };
}

/** An account after that many generations, spread over a year and three keys. @param {number} generations */
function accountAfter(generations) {
  const database = new DatabaseSync(":memory:");
  const storage = storageOf(database);
  Reflect.apply(migrate, undefined, [storage]);
  const columns =
    "mode, deadline, leased, fence, calls, tries, charged, refunded, copied, cleared, swept, paid";
  database.exec(`
    INSERT INTO generations (id, status, created_at, images, request, key_id, ${columns})
    WITH RECURSIVE n(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM n WHERE value + 1 < ${generations})
    SELECT printf('gen_%026d', value), 'processing', (${FIRST_DAY} + value % ${DAYS}) * ${DAY_MS} + 1, '[{}]',
      '{"model":"gpt-image-2"}', 'key_' || (value / ${DAYS} % ${KEYS}), 'sync', 0, 0, 1, 1, 0, 8, 0, 0, 1, 1, '[]'
    FROM n`);
  database.exec("UPDATE generations SET ended_at = created_at, status = 'succeeded'");
  // As the account does a day later.
  database.exec("DELETE FROM generations");
  return { usage: Reflect.construct(UsageStore, [storage.sql]), rows: count(database) };
}

/** @param {DatabaseSync} database */
function count(database) {
  return Number(database.prepare("SELECT count(*) AS count FROM usage").get()?.["count"]);
}

/** The median, in milliseconds. @param {() => unknown} work */
function time(work) {
  const times = Array.from({ length: ROUNDS }, () => {
    const started = performance.now();
    work();
    return performance.now() - started;
  }).sort((a, b) => a - b);
  return (times[ROUNDS / 2] ?? 0).toFixed(2);
}

const lines = [1_000, 1_000_000].map((generations) => {
  const { usage, rows } = accountAfter(generations);
  const [total] = usage.report({ ...ALL, by: { day: false, key: false, model: false } }, 1);
  if (total.credits !== 8 * generations) throw new Error("The usage does not equal what was charged.");
  return [
    generations.toLocaleString("en"),
    rows.toLocaleString("en"),
    time(() => usage.report({ ...ALL, by: BY }, 10_000)),
    time(() => usage.report({ ...ALL, firstDay: ALL.lastDay - 29, by: BY }, 10_000)),
    time(() => usage.spent("key_1", ALL.lastDay - 30)),
    time(() => usage.spent("key_1", 0)),
  ];
});

const head = ["generations", "rows", "report of 366 days", "of 30 days", "limit a month", "limit in total"];
const report = `# Usage

A year of generations by ${KEYS} keys with one model, in the account's tables in memory. Medians of ${ROUNDS} runs, in
milliseconds, by \`npm run bench:usage\`. The table of usage has a row for each day, key and model, so it stops growing once
every day has its rows.

| ${head.join(" | ")} |
|${head.map(() => "--:").join("|")}|
${lines.map((line) => `| ${line.join(" | ")} |`).join("\n")}
`;
console.log(report);
writeFileSync(join(import.meta.dirname, "usage.md"), report);
