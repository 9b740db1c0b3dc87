/**
 * Returns what happened, as lines of text.
 * @param {{
 *   seed: number, killedAt: number[], startsMs: number[], wallMs: number, differences: number,
 *   books: import("./books.mjs").Book[], clients: import("./load.mjs").Client[],
 * }} history
 * @returns {string}
 */
export function tableOf({ seed, killedAt, startsMs, wallMs, differences, books, clients }) {
  const generations = books.flatMap((book) => Object.values(book.generations)).filter((one) => one !== null);
  const entries = books.flatMap((book) => book.statement.entries);
  const heard = new Set(
    clients.flatMap(({ requests }) =>
      requests.map(({ outcome }) => (outcome.kind === "refused" ? null : outcome.id)),
    ),
  );
  /** @param {string} kind */
  const credits = (kind) =>
    Math.abs(entries.filter((entry) => entry.kind === kind).reduce((all, entry) => all + entry.credits, 0));
  const survivors = generations.filter(({ created_at, completed_at = "" }) =>
    killedAt.some((moment) => Date.parse(created_at) < moment && moment < Date.parse(completed_at)),
  );
  const sorted = startsMs.toSorted((a, b) => a - b);
  const seconds = (/** @type {number | undefined} */ ms = 0) => (ms / 1000).toFixed(1);
  return [
    "",
    ...row("seed", seed),
    ...row("kills by SIGKILL", killedAt.length),
    ...row(
      "starts until ready",
      `${sorted.length}, median ${seconds(sorted[sorted.length >> 1])} s, longest ${seconds(sorted.at(-1))} s`,
    ),
    ...row("killed while starting", killedAt.length + 1 - startsMs.length),
    ...tally(clients).flatMap(([kind, outcomes]) => row(kind, outcomes)),
    ...row(
      "generations",
      counts(generations.map(({ status, error }) => `${status}${error ? ` ${error.code}` : ""}`)),
    ),
    ...row("  that outlived a kill", counts(survivors.map(({ status }) => status))),
    ...row("  that no client heard of", generations.filter(({ id }) => !heard.has(id)).length),
    ...row("webhooks", webhooksOf(books)),
    ...row(
      "images checked",
      books.reduce((all, book) => all + Object.keys(book.pictures).length, 0),
    ),
    ...row("accounts", books.length),
    ...row(
      "credits",
      `granted ${credits("grant")}, kept ${credits("charge") - credits("refund")}, refunded ${credits("refund")}, expired ${credits("expiry")}`,
    ),
    ...row("differences", differences),
    ...row("wall time", `${seconds(wallMs)} s`),
  ].join("\n");
}

/**
 * Counts the outcomes of each kind of request.
 * @param {import("./load.mjs").Client[]} clients
 * @returns {[string, string][]}
 */
function tally(clients) {
  /** @type {Map<string, Map<string, number>>} */
  const kinds = new Map();
  for (const [what, count] of clients.flatMap((client) => [...client.tally])) {
    const [kind = "", outcome = ""] = what.split("|");
    const outcomes = kinds.get(kind) ?? new Map();
    kinds.set(kind, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + count));
  }
  return [...kinds]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([kind, outcomes]) => [
      kind,
      [...outcomes]
        .sort(([, a], [, b]) => b - a)
        .map(([outcome, count]) => `${count} ${outcome}`)
        .join(", "),
    ]);
}

/** @param {import("./books.mjs").Book[]} books */
function webhooksOf(books) {
  const webhooks = books.flatMap((book) => book.webhooks);
  const generations = new Set(webhooks.map(({ event }) => event.data.id));
  const types = [...new Map(webhooks.map(({ event }) => [event.data.id, event.type])).values()];
  const answers = counts(webhooks.map(({ status }) => String(status ?? "cut off")));
  return `${generations.size} (${counts(types)}), ${webhooks.length} calls (${answers})`;
}

/** @param {string[]} words */
function counts(words) {
  /** @type {Map<string, number>} */
  const found = new Map();
  for (const word of words) found.set(word, (found.get(word) ?? 0) + 1);
  return [...found].map(([word, count]) => `${count} ${word}`).join(", ") || "none";
}

/** @param {string} name @param {string | number} value */
function row(name, value) {
  return [`${name.padEnd(34)}${value}`];
}
