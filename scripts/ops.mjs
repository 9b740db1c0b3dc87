/**
 * `npm run ops -- <command>`: the operator's command line, over the operator API of a local or deployed service.
 *
 * Exit codes: 0 done, 1 the service refused or cannot be reached, or differences were found, 2 wrong usage.
 */
import { randomUUID } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { Failure, main, root } from "./lib.mjs";

const ANSWER_MS_MAX = 60_000;
const LOCAL = "http://127.0.0.1:8787";
/** More pages than this are not read for one command. */
const PAGES_MAX = 10_000;

class Usage extends Failure {}

/**
 * @typedef {Record<string, unknown>} Answer
 * @typedef {{ checked: Record<string, number>, differences: Answer[], repaired: number, has_more: boolean,
 *   next_cursor: string }} Page
 * @typedef {{ model: string, quality: string, render_quality: string, generations: number, images: number,
 *   credits: number, provider_cost_usd_micros: number | null }} Sold
 * @typedef {Record<string, string | undefined>} Options
 * @typedef {{ usage: string, what: string, asks?: string,
 *   work: (args: string[], options: Options) => Promise<Answer> }} Command `asks`: what to confirm before it runs
 */

/** @type {Record<string, Command>} */
const COMMANDS = {
  "user create": {
    usage: "EMAIL [--name NAME] [--type FREE]",
    what: "create a user",
    work: ([email], { name, type }) => send("POST", "/users", { email, name, account_type: type }),
  },
  "user show": {
    usage: "USER",
    what: "a user's balance, grants and last entries",
    work: async ([user]) => send("GET", `/users/${await idOf(user)}/credits`),
  },
  "user find": {
    usage: "EMAIL",
    what: "find a user by address",
    work: ([email = ""]) => send("GET", `/users?email=${encodeURIComponent(email)}`),
  },
  "user change": {
    usage: "USER [--name NAME] [--type TYPE]",
    what: "change a user",
    work: async ([user], { name, type }) =>
      send("PATCH", `/users/${await idOf(user)}`, { name, account_type: type }),
  },
  "user suspend": {
    usage: "USER [--reason TEXT]",
    what: "refuse a user's keys and pages from now on, and end the sessions",
    asks: "Suspend this user?",
    work: async ([user], { reason }) =>
      send("PATCH", `/users/${await idOf(user)}`, { suspended: true, reason }),
  },
  "user resume": {
    usage: "USER [--reason TEXT]",
    what: "let a suspended user in again",
    work: async ([user], { reason }) =>
      send("PATCH", `/users/${await idOf(user)}`, { suspended: false, reason }),
  },
  "user delete": {
    usage: "USER",
    what: "delete a user with all images; the ledger stays under the id",
    asks: "Delete this user, and all images? This cannot be undone.",
    work: async ([user]) => send("DELETE", `/users/${await idOf(user)}`),
  },
  "user end-sessions": {
    usage: "USER",
    what: "sign a user out everywhere",
    work: async ([user]) => send("DELETE", `/users/${await idOf(user)}/sessions`),
  },
  "generation show": {
    usage: "USER GENERATION",
    what: "everything that is known of a generation",
    work: async ([user, id = ""]) =>
      send("GET", `/generations/${encodeURIComponent(id)}?user_id=${await idOf(user)}`),
  },
  "user rewind": {
    usage: "USER TIME",
    what: "put an account back to a time of the last 30 days",
    asks: "Put this account back? Grants and charges since then are lost: read docs/operations.md first.",
    work: async ([user, at]) => send("POST", `/users/${await idOf(user)}/rewind`, { at }),
  },
  grant: {
    usage: "USER CREDITS [--id ID] [--reason TEXT] [--expires TIME]",
    what: "grant credits; the same --id again adds nothing",
    work: async ([user, credits], { id, reason, expires }) =>
      send("POST", `/users/${await idOf(user)}/credits`, {
        id: id ?? `ops-${randomUUID()}`,
        credits: Number(credits),
        reason,
        expires_at: expires,
      }),
  },
  reverse: {
    usage: "USER GRANT",
    what: "take back what is left of a grant",
    asks: "Take back what is left of this grant?",
    work: async ([user, grant = ""]) =>
      send("POST", `/users/${await idOf(user)}/grants/${encodeURIComponent(grant)}/reverse`, {}),
  },
  purchases: {
    usage: "USER",
    what: "what a user bought",
    work: async ([user]) => send("GET", `/users/${await idOf(user)}/purchases`),
  },
  "key issue": {
    usage: "USER NAME [--mode test] [--expires TIME]",
    what: "create a key, shown once",
    work: async ([user, name], { mode, expires }) =>
      send("POST", `/users/${await idOf(user)}/api_keys`, { name, mode, expires_at: expires }),
  },
  "key list": {
    usage: "USER",
    what: "a user's keys",
    work: async ([user]) => send("GET", `/users/${await idOf(user)}/api_keys`),
  },
  "key limit": {
    usage: "KEY CREDITS|none [--period day|month|total]",
    what: "limit what a key can spend in a period (default: total)",
    work: ([key = "", credits], { period = "total" }) =>
      send("PATCH", `/api_keys/${encodeURIComponent(key)}`, {
        credit_limit: credits === "none" ? null : { credits: Number(credits), period },
      }),
  },
  "key revoke": {
    usage: "KEY",
    what: "refuse a key from its next request on",
    asks: "Revoke this key? This cannot be undone.",
    work: ([key = ""]) => send("DELETE", `/api_keys/${encodeURIComponent(key)}`),
  },
  providers: { usage: "", what: "the state of each provider", work: () => send("GET", "/providers") },
  "provider set": {
    usage: "PROVIDER auto|open|closed",
    what: "open or close a provider's circuit breaker by hand",
    asks: "Change this provider's state?",
    work: ([provider = "", state]) => send("POST", `/providers/${encodeURIComponent(provider)}`, { state }),
  },
  margin: {
    usage: "[--from TIME] [--to TIME]",
    what: "credits sold and the providers' list prices, by model",
    work: (_, { from, to }) => margin({ from, to }),
  },
  reconcile: {
    usage: "[--repair]",
    what: "compare all accounts with the log and the images; exit code 1 if they differ",
    work: (_, { repair }) => reconcile(repair === undefined ? "GET" : "POST"),
  },
  stats: {
    usage: "[--window hour|day|month]",
    what: "generations by model and outcome, purchases and incidents",
    work: async (_, { window = "day" }) => {
      const { recent: _recent, ...report } = await stats(window);
      return report;
    },
  },
  stuck: {
    usage: "",
    what: "what waits or fails: the last sweep of accounts, and the alerts that fire; exit code 1 if any does",
    work: async () => {
      const { accounts, alerts } = await stats("hour");
      return { ...accounts, alerts };
    },
  },
  audit: {
    usage: "",
    what: "the last 200 changes that operators made",
    work: () => send("GET", "/audit?limit=200"),
  },
};

const { values, positionals } = readArguments();

await main(async () => {
  try {
    return await perform();
  } catch (error) {
    if (!(error instanceof Usage)) throw error;
    console.error(error.message);
    return 2;
  }
});

async function perform() {
  const name = [positionals.slice(0, 2).join(" "), positionals[0] ?? ""].find((words) => words in COMMANDS);
  const command = name === undefined ? undefined : COMMANDS[name];
  if (values.help || command === undefined || name === undefined) {
    if (!values.help) throw new Usage(help());
    console.log(help());
    return 0;
  }
  const args = positionals.slice(name.split(" ").length);
  const [words = ""] = command.usage.split("[");
  if (args.length !== words.split(" ").filter((word) => word !== "").length)
    throw new Usage(`Usage: npm run ops -- ${name} ${command.usage}`);
  if (command.asks !== undefined && !(await confirm(command.asks))) return 1;
  const { json, yes, help: _, repair, ...texts } = values;
  const answer = await command.work(args, { ...texts, repair: repair ? "yes" : undefined });
  console.log(json ? JSON.stringify(answer) : render(answer) || "Done.");
  const { differences } = answer;
  const found = name === "stuck" ? answer["alerts"] : repair ? [] : differences;
  return Array.isArray(found) && found.length > 0 ? 1 : 0;
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        ...{ name: { type: "string" }, type: { type: "string" }, id: { type: "string" } },
        ...{ reason: { type: "string" }, expires: { type: "string" }, mode: { type: "string" } },
        ...{ period: { type: "string" }, window: { type: "string" } },
        from: { type: "string" },
        to: { type: "string" },
        ...{ repair: { type: "boolean" }, json: { type: "boolean" }, yes: { type: "boolean" } },
        help: { type: "boolean" },
      },
    });
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${help()}`);
    process.exit(2);
  }
}

function help() {
  const lines = Object.entries(COMMANDS).map(([name, { usage, what }]) => [`  ${name} ${usage}`, what]);
  const width = Math.max(...lines.map(([left = ""]) => left.length)) + 2;
  return `Usage: npm run ops -- COMMAND [--json] [--yes]

${lines.map(([left = "", what]) => left.padEnd(width) + what).join("\n")}

USER is an id (user_…) or an e-mail address. --json prints the response of the API. --yes answers every question.
GIH_URL is the service (default ${LOCAL}), ADMIN_TOKEN the operator's token (default: that of .state).`;
}

/** @param {string} question */
async function confirm(question) {
  if (values.yes) return true;
  if (!process.stdin.isTTY) throw new Usage("Add --yes: nobody can be asked here.");
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** @param {string | undefined} user an id or an address */
async function idOf(user = "") {
  if (!user.includes("@")) return encodeURIComponent(user);
  /** @type {{ data: { id: string }[] }} */
  const { data } = await send("GET", `/users?email=${encodeURIComponent(user)}`);
  const [found] = data;
  if (found === undefined) throw new Failure(`There is no user with the address ${user}.`);
  return found.id;
}

/** @param {string} window @returns {Promise<Answer & { accounts: Answer | null, alerts: Answer[] }>} */
async function stats(window) {
  return await send("GET", `/stats?window=${encodeURIComponent(window)}`);
}

/** Reads all pages, and adds them up. @param {Options} time */
async function margin(time) {
  const given = Object.entries(time).flatMap(([name, text]) => (text === undefined ? [] : [[name, text]]));
  const query = new URLSearchParams(given);
  /** @type {Map<string, Sold>} */
  const sums = new Map();
  for (let count = 0; count < PAGES_MAX; count++) {
    /** @type {{ data: Sold[], has_more: boolean, next_cursor: string }} */
    const page = await send("GET", `/margin?${query}`);
    for (const row of page.data) {
      const kind = `${row.model} ${row.quality} ${row.render_quality}`;
      const sum = sums.get(kind);
      const cost = row.provider_cost_usd_micros;
      if (sum === undefined) sums.set(kind, { ...row });
      else {
        sum.generations += row.generations;
        sum.images += row.images;
        sum.credits += row.credits;
        if (cost !== null) sum.provider_cost_usd_micros = (sum.provider_cost_usd_micros ?? 0) + cost;
      }
    }
    if (!page.has_more) return { object: "list", data: [...sums.values()] };
    query.set("cursor", page.next_cursor);
  }
  throw new Failure(`There are more than ${PAGES_MAX} pages. Continue with the API.`);
}

/** Reads all pages. @param {"GET" | "POST"} method */
async function reconcile(method) {
  /** @type {Record<string, number>} */
  const checked = {};
  const differences = [];
  let repaired = 0;
  let cursor = "";
  for (let count = 0; count < PAGES_MAX; count++) {
    /** @type {Page} */
    const page = await send(method, `/reconcile${cursor}`);
    for (const [name, number] of Object.entries(page.checked)) checked[name] = (checked[name] ?? 0) + number;
    differences.push(...page.differences);
    repaired += page.repaired;
    if (!page.has_more) return { object: "reconciliation", checked, differences, repaired };
    cursor = `?cursor=${encodeURIComponent(page.next_cursor)}`;
  }
  throw new Failure(`There are more than ${PAGES_MAX} pages. Continue with the API.`);
}

/**
 * @template {object} T the shape of the body, as the OpenAPI document promises it
 * @param {string} method
 * @param {string} path below `/api/admin`
 * @param {object} [body]
 * @returns {Promise<T>} `{}` where there is no body
 * @throws {Failure} with the words of the service
 */
async function send(method, path, body) {
  const url = (process.env["GIH_URL"] || LOCAL).replace(/\/$/, "");
  const response = await fetch(`${url}/api/admin${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${operatorToken()}`,
      ...(body && { "Content-Type": "application/json" }),
    },
    ...(body && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  }).catch((error) => {
    throw new Failure(`${url} cannot be reached: ${error.cause?.message ?? error.message}`);
  });
  const text = await response.text();
  if (response.ok) return JSON.parse(text || "{}");
  throw new Failure(`${response.status}: ${messageOf(text)}`);
}

/** @param {string} text the body of a refusal */
function messageOf(text) {
  try {
    const { error } = JSON.parse(text);
    return `${error.message} (${error.code}, request ${error.request_id})`;
  } catch {
    return text.slice(0, 500);
  }
}

function operatorToken() {
  const file = join(root, ".state/admin-token");
  const token = process.env["ADMIN_TOKEN"] || (existsSync(file) ? readFileSync(file, "utf8").trim() : "");
  if (token === "") throw new Failure("Set ADMIN_TOKEN to the operator's token.");
  return token;
}

/**
 * An answer for people: fields by line, objects indented below their name, lists as tables.
 * @param {object} answer
 * @param {string} [gap] between the fields, the objects and the lists
 * @returns {string}
 */
function render(answer, gap = "\n\n") {
  const entries = entriesOf(answer);
  const fields = entries.filter(([, value]) => !isObject(value) || isTexts(value));
  const width = Math.max(0, ...fields.map(([name]) => name.length)) + 2;
  const blocks = entries.flatMap(([name, value]) => {
    if (!isObject(value) || isTexts(value)) return [];
    const list = listOf(value);
    const block = list === null ? render(value, "\n") : table(list);
    return [name === "data" ? block : `${name}\n${block.replace(/^(?=.)/gm, "  ")}`];
  });
  const lines = fields.map(([name, value]) => name.padEnd(width) + textOf(value));
  return [lines.join("\n"), ...blocks].filter((block) => block !== "").join(gap);
}

/** What an object has, without the name of its kind. @param {object} value @returns {[string, unknown][]} */
function entriesOf(value) {
  const entries = Object.entries(value).filter(([name]) => name !== "object");
  return entries.map(([name, part]) => [plain(name), part]);
}

/** @param {unknown} value @returns {value is object} */
function isObject(value) {
  return typeof value === "object" && value !== null;
}

/** @param {unknown} value @returns {value is string[]} a list of texts that is not empty */
function isTexts(value) {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "string");
}

/** The list of a field, whether it is paged or not. @param {unknown} value @returns {Answer[] | null} */
function listOf(value) {
  if (Array.isArray(value)) return value;
  return isObject(value) && "data" in value && Array.isArray(value.data) ? value.data : null;
}

/** @param {Answer[]} rows */
function table(rows) {
  if (rows.length === 0) return "none";
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "object");
  const cells = [names, ...rows.map((row) => names.map((name) => textOf(row[name])))];
  const widths = names.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** @param {unknown} value @returns {string} in one line */
function textOf(value) {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  if (isObject(value))
    return entriesOf(value)
      .map(([name, part]) => `${name} ${textOf(part)}`)
      .join(", ");
  return plain(String(value));
}

/** Shows control characters instead of sending them to the terminal: users write prompts and labels. @param {string} text */
function plain(text) {
  return text.replace(/\p{Cc}/gu, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}
