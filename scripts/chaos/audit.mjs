/** Reads each account through the API, the log, the receiver and the provider, after the load has stopped. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, projectNode, root, run } from "../lib.mjs";
import { numberOf, pick } from "../service/api.mjs";
import { generationIds, isEnded } from "./books.mjs";
import { mustCall } from "./call.mjs";
import { fetchPicture } from "./load.mjs";
import { isSigned } from "./receiver.mjs";

const PAGE = 100;
const LOOK_AGAIN_MS = 1_000;
const SIDE_BY_SIDE = 8;

/**
 * @typedef {import("./books.mjs").Book} Book
 * @typedef {import("./load.mjs").Client} Client
 * @typedef {import("./load.mjs").Settings & { stateDirectory: string }} Settings
 */

/**
 * Waits until every generation has ended, its webhook was delivered and it is in the log, or until the time limit; then
 * reads the rest.
 * @param {Settings} settings
 * @param {Client[]} clients
 * @param {{ calls: import("./receiver.mjs").Call[], called: ReadonlySet<string> }} outside what the receiver and the
 * provider got
 * @param {{ withinMs: number, stop: AbortSignal }} limits
 * @returns {Promise<Book[]>}
 */
export async function audit(settings, clients, { calls, called }, { withinMs, stop }) {
  const until = Date.now() + withinMs;
  /** @type {Book[]} */
  const books = [];
  for (const client of clients) {
    const { user_id, complaints, granted, requests, cancels, seen } = client;
    books.push({
      ...{ user_id, complaints, granted, requests, cancels, seen, called },
      ...{ balance: 0, generations: {}, pictures: {}, webhooks: [], deliveries: {} },
      ...{ statement: { balance: 0, grants: [], entries: [] }, log: { generations: [], entries: [] } },
    });
  }
  for (;;) {
    const open = await Promise.all(
      books.map((book, index) => readBook(settings, book, clients[index]?.key ?? "")),
    );
    const missing = await readLog(settings, books, stop);
    if ((open.every((count) => count === 0) && missing === 0) || Date.now() > until) break;
    await sleep(LOOK_AGAIN_MS, undefined, { signal: stop });
  }
  for (const [index, book] of books.entries()) {
    const client = clients[index];
    if (client === undefined) continue;
    // So far the account may have returned some of them. They must not change when the log returns them.
    book.seen = [...book.seen, ...endedOf(book)];
    await readGenerations(settings, book, client.key, generationIds(book));
    await readPictures(book);
    book.webhooks = calls
      .filter(({ path }) => path === `/${book.user_id}`)
      .map((call) => webhookOf(call, client));
  }
  return books;
}

/**
 * @param {Settings} settings
 * @param {Book} book
 * @param {string} key
 * @returns {Promise<number>} how many generations have not ended, or have webhooks that were not delivered
 */
async function readBook(settings, book, key) {
  book.statement = await readStatement(settings, book.user_id);
  book.balance = numberOf((await mustCall(`${settings.origin}/api/v1/credits`, key)).body, "credits");
  const ended = new Set(endedOf(book).map(({ id }) => id));
  const open = generationIds(book).filter((id) => !ended.has(id));
  await readGenerations(settings, book, key, open);
  const unended = open.filter((id) => !isEnded(book.generations[id]?.status ?? "succeeded"));
  const undelivered = await readDeliveries(settings, book, key);
  // Credits may expire between the two responses.
  return unended.length + undelivered + (book.balance === book.statement.balance ? 0 : 1);
}

/**
 * Reads the deliveries of ended generations that have, or may have, a webhook.
 * @param {Settings} settings
 * @param {Book} book
 * @param {string} key
 * @returns {Promise<number>} how many of them were not delivered
 */
async function readDeliveries({ origin }, book, key) {
  const asked = new Map(
    book.requests.map(({ outcome, webhook }) => [outcome.kind === "refused" ? null : outcome.id, webhook]),
  );
  const isFinal = (/** @type {string} */ id) => book.deliveries[id]?.[0]?.next_attempt_at === null;
  const open = endedOf(book).filter(({ id }) => asked.get(id) !== false && !isFinal(id));
  await sideBySide(open, async ({ id }) => {
    const { body } = await mustCall(`${origin}/api/v1/generations/${id}/deliveries`, key);
    book.deliveries[id] = listOf(body, "data");
  });
  // A request without a response may have had a webhook: the list of deliveries tells.
  const hasWebhook = (/** @type {string} */ id) => asked.get(id) ?? (book.deliveries[id] ?? []).length > 0;
  return open.filter(({ id }) => hasWebhook(id) && !isFinal(id)).length;
}

/**
 * @param {import("./receiver.mjs").Call} call
 * @param {Client} client
 * @returns {import("./books.mjs").Webhook}
 */
function webhookOf(call, { webhookSecret }) {
  return { signed: isSigned(call, webhookSecret), status: call.status, event: JSON.parse(call.body) };
}

/**
 * @param {Settings} settings
 * @param {Book} book
 * @param {string} key
 * @param {string[]} ids
 */
async function readGenerations({ origin }, book, key, ids) {
  await sideBySide(ids, async (id) => {
    const url = `${origin}/api/v1/generations/${id}`;
    const { status, body } = await mustCall(url, key, { statuses: [200, 404] });
    book.generations[id] = status === 200 ? Object(body) : null;
  });
}

/** @param {Book} book */
function endedOf({ generations }) {
  return Object.values(generations).flatMap((one) => (one !== null && isEnded(one.status) ? [one] : []));
}

/**
 * @param {Settings} settings
 * @param {string} userId
 * @returns {Promise<Book["statement"]>} as it was at the first page: later entries are not on the pages after it
 */
async function readStatement({ origin, adminToken }, userId) {
  const url = `${origin}/api/admin/users/${userId}/credits?limit=${PAGE}`;
  const first = (await mustCall(url, adminToken)).body;
  /** @type {import("./books.mjs").Entry[]} */
  const entries = [];
  for (let page = first; ; ) {
    entries.push(...listOf(page, "entries", "data"));
    const cursor = pick(page, "entries", "next_cursor");
    if (typeof cursor !== "string") break;
    page = (await mustCall(`${url}&cursor=${encodeURIComponent(cursor)}`, adminToken)).body;
  }
  return {
    balance: numberOf(first, "balance", "credits"),
    grants: listOf(first, "grants"),
    entries: entries.reverse(),
  };
}

/**
 * @param {Settings} settings
 * @param {Book[]} books
 * @param {AbortSignal} stop
 * @returns {Promise<number>} how many generations and entries the log does not have
 */
async function readLog({ stateDirectory }, books, stop) {
  const reader = join(root, "scripts/chaos/read-log.mjs");
  const { code, output } = await run(projectNode, ["--no-warnings", reader, stateDirectory], { stop });
  if (code !== 0) throw new Failure(`The log could not be read:\n${output}`);
  /** @type {Record<string, Book["log"]>} */
  const logs = JSON.parse(output);
  let missing = 0;
  for (const book of books) {
    book.log = logs[book.user_id] ?? { generations: [], entries: [] };
    missing += Math.abs(endedOf(book).length - book.log.generations.length);
    missing += Math.abs(book.statement.entries.length - book.log.entries.length);
  }
  return missing;
}

/** @param {Book} book */
async function readPictures(book) {
  const images = Object.values(book.generations).flatMap((generation) => generation?.images ?? []);
  await sideBySide(images, async ({ id, url }) => {
    const picture = await fetchPicture(url);
    if (picture !== null) book.pictures[id] = picture;
  });
}

/**
 * @template T
 * @param {readonly T[]} items
 * @param {(item: T) => Promise<void>} work
 */
async function sideBySide(items, work) {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, worker));
}

/**
 * @param {unknown} body
 * @param {...string} path
 */
function listOf(body, ...path) {
  const list = pick(body, ...path);
  if (!Array.isArray(list)) throw new Failure(`The service returned no ${path.join(".")}.`);
  return list;
}
