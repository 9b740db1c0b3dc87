/**
 * A stand-in for wrangler and the account that it acts on, for the test of `npm run deploy`. The account is the JSON file
 * that WRANGLER_ACCOUNT names. Output and exit codes are those of wrangler 4.156.
 */
import { readFileSync, writeFileSync } from "node:fs";

const file = process.env["WRANGLER_ACCOUNT"] ?? "";
const account = JSON.parse(readFileSync(file, "utf8"));
const args = process.argv.slice(2);
const words = args.slice(0, args.findIndex((arg) => arg.startsWith("--")) >>> 0);
const command = words.join(" ");
const last = words.at(-1) ?? "";

account.calls.push(command);
try {
  console.log(await answer());
} catch (error) {
  console.error(`✘ [ERROR] ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
writeFileSync(file, JSON.stringify(account));

async function answer() {
  if (command === account.fails) throw new Error("The API is not available. [code: 10000]");
  if (command === "whoami") {
    if (!account.loggedIn) process.exitCode = 1;
    return JSON.stringify({ loggedIn: account.loggedIn });
  }
  if (command === "deploy") {
    if (!args.includes("--dry-run")) account.deployed = true;
    return "Uploaded";
  }
  if (command === "d1 list")
    return JSON.stringify(account.d1.map((/** @type {string} */ name) => ({ name })));
  if (command === "r2 bucket list")
    return account.buckets.map((/** @type {string} */ name) => `name:           ${name}`).join("\n");
  if (command === "secret list") {
    if (!account.deployed && account.secrets.length === 0)
      throw new Error('Worker "gpt-image-hub" not found. [code: 10007]');
    return JSON.stringify(
      account.secrets.map((/** @type {string} */ name) => ({ name, type: "secret_text" })),
    );
  }
  if (command === "secret bulk") return await setSecrets();
  if (command.startsWith("d1 create ")) return add(account.d1);
  if (command.startsWith("r2 bucket create ")) return add(account.buckets);
  if (command.startsWith("queues create ")) return add(account.queues);
  if (command.startsWith("queues info ")) {
    if (account.queues.includes(last)) return `Queue Name: ${last}`;
    throw new Error(`Queue "${last}" does not exist. To create it, run: wrangler queues create ${last}`);
  }
  if (command.startsWith("r2 bucket lifecycle list "))
    return (account.rules[last] ?? []).map((/** @type {string} */ name) => `name:     ${name}`).join("\n");
  if (command.startsWith("r2 bucket lifecycle add ")) {
    const bucket = words.at(-2) ?? "";
    account.rules[bucket] = [...(account.rules[bucket] ?? []), last];
    return `Added ${last}`;
  }
  if (command.startsWith("d1 migrations apply ")) {
    account.migrated.push(last);
    return "No migrations to apply!";
  }
  throw new Error(`Unknown arguments: ${args.join(" ")}`);
}

/** @param {string[]} names */
function add(names) {
  if (names.includes(last)) throw new Error(`${last} already exists. [code: 10004]`);
  names.push(last);
  return `Created ${last}`;
}

async function setSecrets() {
  let input = "";
  for await (const chunk of process.stdin) input += chunk;
  account.secrets.push(...Object.keys(JSON.parse(input)));
  return "Done";
}
