/**
 * Compares one account's ledger with what its clients saw. Everything is computed from API responses, received webhooks
 * and the provider's record of calls; the log in D1 only has to agree with them. Pure: no network, no clock.
 *
 * @typedef {{ id: string, url: string, content_type: string, bytes: number }} Image
 * @typedef {{
 *   id: string, status: string, created_at: string, completed_at?: string, images: Image[],
 *   usage: { credits: number, credits_requested: number, credits_charged: number, credits_refunded: number }, error?: { code: string },
 * }} Generation as the API shows it
 * @typedef {{
 *   id: string, kind: string, credits: number, balance_after: number, generation_id: string | null, grant_id: string,
 *   created_at: string,
 * }} Entry
 * @typedef {{ id: string, credits: number, remaining: number, expires_at: string | null }} Grant
 *
 * @typedef {{ kind: "refused", code: string, required?: number, available?: number }} Refused nothing may be charged
 * @typedef {Refused
 *   | { kind: "accepted" | "succeeded", id: string }
 *   | { kind: "failed", id: string, code: string }
 *   | { kind: "unknown", id: string | null }} Outcome what the client knows; `unknown` when the response was lost
 * @typedef {{
 *   credits: number, creditsMin: number, n: number, prompt: string, webhook: boolean, outcome: Outcome,
 * }} Asked a request for images. `credits`: its price. `creditsMin`: the price that a 402 may name, because a form is
 * refused for the cheapest price before it is read. `webhook`: whether it has a `webhook_url`
 * @typedef {{ id: string, result: "canceled" | "refused" | "unknown" }} Cancel the response to a
 * client that canceled a generation; `unknown` when it was lost
 * @typedef {{ signed: boolean, status: number | null, event: { type: string, data: Generation } }} Webhook a call that
 * the receiver got, with the status that it sent
 * @typedef {{ attempt: number, response_status: number | null, next_attempt_at: string | null }} Delivery
 *
 * @typedef {{
 *   user_id: string,
 *   complaints: string[],
 *   granted: { id: string, credits: number, acknowledged: boolean }[],
 *   requests: Asked[],
 *   cancels: Cancel[],
 *   seen: Generation[],
 *   balance: number,
 *   statement: { balance: number, grants: Grant[], entries: Entry[] },
 *   generations: Record<string, Generation | null>,
 *   pictures: Record<string, { status: number, contentType: string | null, bytes: number }>,
 *   webhooks: Webhook[],
 *   deliveries: Record<string, Delivery[]>,
 *   called: ReadonlySet<string>,
 *   log: {
 *     generations: { id: string, status: string, charged: number, refunded: number }[],
 *     entries: { seq: number, credits: number, balance_after: number, generation_id: string | null }[],
 *   },
 * }} Book
 * `complaints`: what clients found wrong at once. `seen`: ended generations as clients were shown them. `entries`:
 * oldest first. `generations`: their final state, null for 404. `pictures`: by image id. `deliveries`: by generation,
 * newest first. `called`: the prompts that the provider received.
 */

/** The operator's response lists no more grants than this. */
const GRANTS_LISTED_MAX = 200;

/**
 * Returns one line for each difference between the ledger and its clients.
 * @param {Book} book
 * @returns {string[]}
 */
export function findDifferences(book) {
  return [
    ...book.complaints,
    ...checkEntries(book),
    ...checkGrants(book),
    ...generationIds(book).flatMap((id) => checkGeneration(book, id)),
    ...book.seen.flatMap((seen) => checkSeen(book, seen)),
    ...book.requests.flatMap((asked) => checkAsked(book, asked)),
    ...checkUnheard(book),
    ...checkCancels(book),
    ...book.webhooks.flatMap((webhook) => checkWebhook(book, webhook)),
    ...generationIds(book).flatMap((id) => checkDelivered(book, id)),
    ...checkLog(book),
  ].map((line) => `${book.user_id}: ${line}`);
}

/**
 * Every generation that a client or the ledger names.
 * @param {Pick<Book, "requests" | "statement">} book
 * @returns {string[]}
 */
export function generationIds({ requests, statement }) {
  const charged = statement.entries.map((entry) => entry.generation_id);
  const heard = requests.map(({ outcome }) => (outcome.kind === "refused" ? null : outcome.id));
  return [...new Set([...charged, ...heard].filter((id) => id !== null))];
}

/** @param {string} status */
export function isEnded(status) {
  return status === "succeeded" || status === "failed" || status === "canceled";
}

/** @param {Book} book */
function checkEntries({ balance, statement, generations }) {
  const { entries, grants } = statement;
  const lines = entries.flatMap((entry, index) => {
    const before = entries[index - 1]?.balance_after ?? 0;
    return [
      ...unless(entry.id === `entry_${index + 1}`, `${entry.id} stands where entry_${index + 1} belongs`),
      ...unless(
        entry.balance_after === before + entry.credits,
        `${entry.id} (${entry.kind} ${entry.credits}) leaves ${entry.balance_after} after ${before}`,
      ),
    ];
  });
  const total = sum(entries);
  const kept = Object.values(generations).reduce((all, one) => all + (one?.usage.credits ?? 0), 0);
  const owed = sum(ofKind(entries, "grant")) + sum(ofKind(entries, "expiry")) - kept;
  const held = grants.reduce((all, grant) => all + grant.remaining, 0);
  return [
    ...lines,
    ...unless(
      balance === statement.balance,
      `the caller is told ${balance}, the operator ${statement.balance}`,
    ),
    ...unless(
      total === statement.balance,
      `the balance is ${statement.balance}, its entries sum to ${total}`,
    ),
    ...unless(
      owed === statement.balance,
      `the balance is ${statement.balance}; grants less expiry and what generations kept make ${owed}`,
    ),
    ...unless(
      grants.length >= GRANTS_LISTED_MAX || held === total,
      `the entries sum to ${total}, the grants hold ${held}`,
    ),
  ];
}

/** @param {Book} book */
function checkGrants({ granted, statement }) {
  const { entries, grants } = statement;
  const booked = ofKind(entries, "grant");
  const asked = granted.flatMap(({ id, credits, acknowledged }) => {
    const found = booked.filter((entry) => entry.grant_id === id);
    const expected = acknowledged ? 1 : Math.min(found.length, 1);
    return [
      ...unless(found.length === expected, `grant ${id} is booked ${found.length} times, not ${expected}`),
      ...unless(
        found.every((entry) => entry.credits === credits),
        `grant ${id} is booked with other credits than ${credits}`,
      ),
    ];
  });
  const known = new Set(granted.map(({ id }) => id));
  return [
    ...asked,
    ...booked.flatMap(({ id, grant_id }) =>
      unless(known.has(grant_id), `${id} books ${grant_id}: nobody asked`),
    ),
    ...grants.flatMap(({ id, credits, remaining }) => {
      const left = sum(entries.filter((entry) => entry.grant_id === id));
      return [
        ...unless(left === remaining, `grant ${id} holds ${remaining}, its entries leave ${left}`),
        ...unless(remaining >= 0 && remaining <= credits, `grant ${id} of ${credits} holds ${remaining}`),
      ];
    }),
    ...ofKind(entries, "expiry").flatMap(({ id, grant_id, created_at }) => {
      const grant = grants.find((one) => one.id === grant_id);
      const due = grant?.expires_at;
      return unless(
        grant === undefined || (typeof due === "string" && due <= created_at),
        `${id} ends grant ${grant_id} before its time`,
      );
    }),
  ];
}

/**
 * Checks one generation: it has ended, was charged once, kept the price of what it delivered, and its images exist.
 * @param {Book} book
 * @param {string} id
 * @returns {string[]}
 */
function checkGeneration({ requests, statement, generations, pictures }, id) {
  const entries = statement.entries.filter((entry) => entry.generation_id === id);
  const generation = generations[id] ?? null;
  const outcome = askedFor(requests, id)?.outcome;
  if (generation === null) {
    // Only a request without a response may have left nothing.
    const nothing = outcome?.kind === "unknown" && entries.length === 0;
    return unless(nothing, `${id} is not found, though ${outcome ? outcome.kind : "charged"}`);
  }
  if (!isEnded(generation.status)) return [`${id} has not ended: ${generation.status}`];
  return [...checkMoney(generation, entries), ...checkDelivery(generation, pictures)].map(
    (line) => `${id} (${generation.status}) ${line}`,
  );
}

/**
 * @param {Generation} generation
 * @param {Entry[]} entries
 */
function checkMoney({ status, usage, images }, entries) {
  const charges = ofKind(entries, "charge");
  const charged = -sum(charges);
  const refunded = sum(ofKind(entries, "refund"));
  const moments = new Set(charges.map((entry) => entry.created_at));
  const payers = new Set(charges.map((entry) => entry.grant_id));
  const once = moments.size === 1 && payers.size === charges.length && areNeighbours(charges);
  const refunds = entries.filter(({ kind }) => kind === "refund" || kind === "expiry");
  return [
    ...unless(once, `is charged ${charges.length} times: ${charges.map((entry) => entry.id).join(" ")}`),
    ...unless(
      areNeighbours(refunds),
      `is refunded at different times: ${refunds.map(({ id }) => id).join(" ")}`,
    ),
    ...unless(
      charged === usage.credits_requested && charged === usage.credits_charged,
      `is charged ${charged}, asked for ${usage.credits_requested}, and says ${usage.credits_charged}`,
    ),
    ...unless(
      refunded === usage.credits_refunded,
      `is refunded ${refunded}, and says ${usage.credits_refunded}`,
    ),
    ...unless(
      charged - refunded === usage.credits,
      `kept ${charged - refunded} (charged ${charged}, refunded ${refunded}), and says ${usage.credits}`,
    ),
    ...unless(status === "succeeded" || usage.credits === 0, `delivered nothing and kept ${usage.credits}`),
    ...unless(status !== "succeeded" || images.length > 0, "has no images"),
  ];
}

/**
 * @param {Generation} generation
 * @param {Book["pictures"]} pictures
 */
function checkDelivery({ status, images, error, created_at, completed_at }, pictures) {
  const ids = new Set(images.map((image) => image.id));
  return [
    ...unless(ids.size === images.length, "names an image twice"),
    ...unless(status === "succeeded" || images.length === 0, "has images"),
    ...unless((status === "failed") === (error !== undefined), `has the error ${error?.code}`),
    ...unless(completed_at !== undefined && created_at <= completed_at, `ended at ${completed_at}`),
    ...images.flatMap((image) => {
      const picture = pictures[image.id];
      const whole =
        picture?.status === 200 &&
        picture.bytes === image.bytes &&
        picture.contentType === image.content_type;
      const got = picture ? `${picture.status} ${picture.contentType} ${picture.bytes}` : "nothing";
      return unless(whole, `promised ${image.id}, ${image.content_type} ${image.bytes}: there is ${got}`);
    }),
  ];
}

/**
 * An ended generation never changes.
 * @param {Book} book
 * @param {Generation} seen
 */
function checkSeen({ generations }, seen) {
  const now = JSON.stringify(generations[seen.id]);
  const then = JSON.stringify(seen);
  return unless(now === then, `${seen.id} was shown as ${then} and is ${now}`);
}

/**
 * @param {Book} book
 * @param {Asked} asked
 */
function checkAsked({ generations }, { credits, creditsMin, n, outcome }) {
  if (outcome.kind === "refused") {
    if (outcome.code !== "insufficientCredits") return [];
    const { required = 0, available = credits } = outcome;
    return unless(
      (required === credits || required === creditsMin) && available < required,
      `a request for ${credits} was refused: ${required} required, ${available} available`,
    );
  }
  const generation = outcome.id === null ? null : generations[outcome.id];
  if (!generation) return [];
  const { id, usage, images, error, status } = generation;
  const kept = (credits / n) * images.length;
  return [
    ...unless(usage.credits_requested === credits, `${id} costs ${usage.credits_requested}, not ${credits}`),
    ...unless(images.length <= n, `${id} has ${images.length} images of ${n}`),
    ...unless(
      usage.credits === kept,
      `${id} kept ${usage.credits} for ${images.length} of ${n} images, not ${kept}`,
    ),
    ...unless(
      outcome.kind !== "succeeded" || status === "succeeded",
      `${id} was answered by 200 and is ${status}`,
    ),
    ...unless(
      outcome.kind !== "failed" || error?.code === outcome.code,
      `${id} was answered as failed and is ${status} ${error?.code}`,
    ),
  ];
}

/**
 * A generation that no client heard of belongs to a request without a response: there is at most one for each of these,
 * of the same price.
 * @param {Book} book
 */
function checkUnheard({ requests, statement, generations }) {
  const heard = new Set(requests.map(({ outcome }) => (outcome.kind === "refused" ? null : outcome.id)));
  const lost = requests.filter(({ outcome }) => outcome.kind === "unknown" && outcome.id === null);
  /** @type {Map<number, number>} */
  const left = new Map();
  for (const { credits } of lost) left.set(credits, (left.get(credits) ?? 0) + 1);
  return generationIds({ requests: [], statement }).flatMap((id) => {
    if (heard.has(id)) return [];
    const price = generations[id]?.usage.credits_requested ?? 0;
    const count = left.get(price) ?? 0;
    left.set(price, count - 1);
    return unless(count > 0, `${id} for ${price} was charged, and no request without an answer explains it`);
  });
}

/**
 * Each generation is either canceled or begun: a canceled one was never sent to the provider, and a refused request to
 * cancel is final.
 * @param {Book} book
 */
function checkCancels({ requests, cancels, generations, called }) {
  const canceled = Object.values(generations).filter((one) => one?.status === "canceled");
  return [
    ...cancels.flatMap(({ id, result }) => {
      const status = generations[id]?.status;
      return unless(
        result === "unknown" || (result === "canceled") === (status === "canceled"),
        `${id} was asked to be canceled, which was ${result}, and is ${status}`,
      );
    }),
    ...canceled.flatMap((generation) => {
      const id = generation?.id ?? "";
      return [
        ...unless(
          cancels.some((cancel) => cancel.id === id),
          `${id} is canceled: nobody asked`,
        ),
        ...unless(
          !called.has(askedFor(requests, id)?.prompt ?? ""),
          `${id} is canceled, and the provider was called`,
        ),
      ];
    }),
  ];
}

/**
 * Checks a call that the receiver got.
 * @param {Book} book
 * @param {Webhook} webhook
 */
function checkWebhook({ requests, generations }, { signed, event: { type, data } }) {
  const now = JSON.stringify(generations[data.id]);
  return [
    ...unless(signed, `the webhook of ${data.id} has no valid signature`),
    ...unless(type === `generation.${data.status}`, `${data.id} (${data.status}) has the webhook ${type}`),
    ...unless(
      askedFor(requests, data.id)?.webhook !== false,
      `${data.id} has a webhook that it did not ask for`,
    ),
    ...unless(
      now === JSON.stringify(data),
      `the webhook of ${data.id} shows ${JSON.stringify(data)}, and it is ${now}`,
    ),
  ];
}

/**
 * Every webhook was delivered at least once, and the list of deliveries ends with that.
 * @param {Book} book
 * @param {string} id
 */
function checkDelivered({ requests, generations, webhooks, deliveries }, id) {
  const generation = generations[id];
  const [newest] = deliveries[id] ?? [];
  // The list shows it for a generation whose request has no response.
  const hasWebhook = askedFor(requests, id)?.webhook ?? newest !== undefined;
  if (!generation || !isEnded(generation.status) || !hasWebhook) return [];
  const received = webhooks.filter(({ event }) => event.data.id === id);
  return [
    ...unless(
      received.some(({ status }) => status === 204),
      `the webhook of ${id} (${generation.status}) was not delivered in ${received.length} calls`,
    ),
    ...unless(
      newest?.next_attempt_at === null && newest.response_status === 204,
      `the deliveries of ${id} end with ${JSON.stringify(newest)}`,
    ),
    ...unless(
      newest === undefined || newest.attempt <= received.length,
      `the deliveries of ${id} list ${newest?.attempt} attempts of ${received.length}`,
    ),
  ];
}

/** @param {Book} book */
function checkLog({ statement, generations, log }) {
  const rows = new Map(log.generations.map((row) => [row.id, row]));
  const lines = new Map(log.entries.map((row) => [row.seq, row]));
  const ended = Object.values(generations).flatMap((one) =>
    one !== null && isEnded(one.status) ? [one] : [],
  );
  return [
    ...ended.flatMap(({ id, status, usage }) => {
      const row = rows.get(id);
      const agrees =
        row?.status === status &&
        row.charged === usage.credits_requested &&
        row.charged - row.refunded === usage.credits;
      return unless(agrees, `${id} (${status}) is in the log as ${JSON.stringify(row)}`);
    }),
    ...statement.entries.flatMap((entry, index) => {
      const row = lines.get(index + 1);
      const agrees =
        row?.credits === entry.credits &&
        row.balance_after === entry.balance_after &&
        row.generation_id === entry.generation_id;
      return unless(agrees, `${entry.id} is in the log as ${JSON.stringify(row)}`);
    }),
    ...unless(
      rows.size === ended.length && lines.size === statement.entries.length,
      `the log has ${rows.size} generations and ${lines.size} entries, the ledger ${ended.length} and ${statement.entries.length}`,
    ),
  ];
}

/**
 * Whether the entries are consecutive, as those of one transaction are.
 * @param {Entry[]} entries
 */
function areNeighbours(entries) {
  const numbers = entries.map(({ id }) => Number(id.replace("entry_", "")));
  return numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1);
}

/**
 * The request that created a generation, if its client knows.
 * @param {Asked[]} requests
 * @param {string} id
 */
function askedFor(requests, id) {
  return requests.find(({ outcome }) => outcome.kind !== "refused" && outcome.id === id);
}

/** @param {Entry[]} entries @param {string} kind */
function ofKind(entries, kind) {
  return entries.filter((entry) => entry.kind === kind);
}

/** @param {Entry[]} entries */
function sum(entries) {
  return entries.reduce((all, entry) => all + entry.credits, 0);
}

/** @param {boolean} holds @param {string} line @returns {string[]} */
function unless(holds, line) {
  return holds ? [] : [line];
}
