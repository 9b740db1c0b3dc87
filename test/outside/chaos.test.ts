import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { type Book, findDifferences } from "../../scripts/chaos/books.mjs";
import { randomFrom } from "../../scripts/chaos/random.mjs";
import { isSigned } from "../../scripts/chaos/receiver.mjs";

type Entry = Book["statement"]["entries"][number];
type Generation = NonNullable<Book["generations"][string]>;

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();

const image = (id: string) => ({
  id,
  url: `http://host/${id}.png`,
  content_type: "image/png",
  bytes: 1000,
});

const usage = (credits: number, charged: number) => ({
  ...{ credits, credits_requested: charged, credits_charged: charged },
  credits_refunded: charged - credits,
});

const whole: Generation = {
  id: "gen_whole",
  status: "succeeded",
  created_at: at(1),
  completed_at: at(2),
  images: [image("img_a"), image("img_b")],
  usage: usage(16, 16),
};
const part: Generation = {
  ...whole,
  id: "gen_part",
  images: [image("img_c")],
  usage: usage(8, 16),
};
const failed: Generation = {
  ...whole,
  id: "gen_failed",
  status: "failed",
  images: [],
  usage: usage(0, 8),
  error: { code: "generationFailed" },
};
const unheard: Generation = { ...failed, id: "gen_unheard" };
const canceled: Generation = {
  ...whole,
  id: "gen_canceled",
  status: "canceled",
  images: [],
  usage: usage(0, 8),
};
const GENERATIONS = [whole, part, failed, unheard, canceled];

/** Entries from kind, credits, generation, grant and second, with their number and balance. */
function enter(lines: [string, number, string | null, string, number][]): Entry[] {
  let balance = 0;
  return lines.map(([kind, credits, generation_id, grant_id, second], index) => {
    balance += credits;
    return {
      ...{ id: `entry_${index + 1}`, kind, credits, balance_after: balance },
      ...{ generation_id, grant_id, created_at: at(second) },
    };
  });
}

const LINES: [string, number, string | null, string, number][] = [
  ["grant", 20, null, "soon", 0],
  ["grant", 100, null, "main", 0],
  ["charge", -16, "gen_whole", "soon", 1],
  ["charge", -4, "gen_part", "soon", 2],
  ["charge", -12, "gen_part", "main", 2],
  ["refund", 8, "gen_part", "main", 3],
  ["charge", -8, "gen_failed", "main", 4],
  ["refund", 8, "gen_failed", "main", 5],
  ["charge", -8, "gen_unheard", "main", 6],
  ["refund", 8, "gen_unheard", "main", 7],
  ["grant", 5, null, "lapsing", 8],
  ["expiry", -5, null, "lapsing", 20],
  ["charge", -8, "gen_canceled", "main", 21],
  ["refund", 8, "gen_canceled", "main", 22],
];

/** The log that agrees with these responses. */
function logOf(entries: Entry[], generations: Book["generations"]): Book["log"] {
  return {
    generations: Object.values(generations)
      .filter((one) => one !== null)
      .map(({ id, status, usage }) => ({
        ...{ id, status, charged: usage.credits_requested },
        refunded: usage.credits_requested - usage.credits,
      })),
    entries: entries.map(({ credits, balance_after, generation_id }, index) => ({
      ...{ seq: index + 1, credits, balance_after, generation_id },
    })),
  };
}

/** A call that the receiver got. */
const webhookOf = (generation: Generation, change: Partial<Book["webhooks"][number]> = {}) => ({
  ...{ signed: true, status: 204 },
  event: { type: `generation.${generation.status}`, data: generation },
  ...change,
});

const DELIVERED = { attempt: 1, response_status: 204, next_attempt_at: null };

type Change = Partial<Omit<Book, "generations">> & { lines?: typeof LINES; generations?: Generation[] };

/** A consistent account with every kind of entry and outcome. Each case below changes one thing in it. */
function book(change: Change = {}): Book {
  const { lines = LINES, generations: list = GENERATIONS, ...rest } = change;
  const entries = enter(lines);
  const generations: Book["generations"] = Object.fromEntries(list.map((one) => [one.id, one]));
  const grant = (id: string, credits: number, expires_at: string | null = null) => ({
    ...{ id, credits, expires_at },
    remaining: entries.filter((entry) => entry.grant_id === id).reduce((sum, one) => sum + one.credits, 0),
  });
  const balance = entries.at(-1)?.balance_after ?? 0;
  return {
    user_id: "user_1",
    complaints: [],
    granted: [
      { id: "soon", credits: 20, acknowledged: true },
      { id: "main", credits: 100, acknowledged: true },
      { id: "lapsing", credits: 5, acknowledged: false },
      { id: "never-arrived", credits: 5, acknowledged: false },
    ],
    requests: [
      asked(16, 2, { kind: "succeeded", id: "gen_whole" }),
      asked(16, 2, { kind: "accepted", id: "gen_part" }, true),
      asked(8, 1, { kind: "failed", id: "gen_failed", code: "generationFailed" }),
      asked(8, 1, { kind: "unknown", id: null }, true),
      asked(12, 1, { kind: "unknown", id: "gen_nothing" }),
      asked(8, 1, { kind: "refused", code: "unreached" }),
      { ...asked(16, 2, refusedFor(8, 4)), creditsMin: 8 },
      asked(8, 1, { kind: "accepted", id: "gen_canceled" }, true),
    ],
    cancels: [
      { id: "gen_part", result: "refused" },
      { id: "gen_part", result: "unknown" },
      { id: "gen_canceled", result: "unknown" },
      { id: "gen_canceled", result: "canceled" },
    ],
    called: new Set(["gen_whole", "gen_part", "gen_failed"]),
    webhooks: [
      webhookOf(part, { status: 500 }),
      webhookOf(part, { status: null }),
      ...[part, unheard, canceled].map((one) => webhookOf(one)),
    ],
    deliveries: {
      gen_part: [
        { ...DELIVERED, attempt: 2 },
        { attempt: 1, response_status: 500, next_attempt_at: at(9) },
      ],
      gen_unheard: [DELIVERED],
      gen_canceled: [DELIVERED],
    },
    seen: [whole],
    balance,
    statement: {
      balance,
      grants: [grant("soon", 20), grant("main", 100), grant("lapsing", 5, at(19))],
      entries,
    },
    generations,
    pictures: Object.fromEntries(
      ["img_a", "img_b", "img_c"].map((id) => [id, { status: 200, contentType: "image/png", bytes: 1000 }]),
    ),
    log: logOf(entries, generations),
    ...rest,
  };
}

const refusedFor = (required: number, available: number) =>
  ({ kind: "refused", code: "insufficientCredits", required, available }) as const;

type Outcome = Book["requests"][number]["outcome"];

/** A request whose prompt is the id of its generation. */
const asked = (credits: number, n: number, outcome: Outcome, webhook = false) => ({
  ...{ credits, creditsMin: credits, n, webhook, outcome },
  prompt: outcome.kind === "refused" ? "refused" : `${outcome.id}`,
});

const withRequest = (outcome: Outcome) => ({ requests: [...book().requests, asked(16, 2, outcome)] });

/** The same lines with one changed, or left out (null). */
const withLine = (index: number, line: (typeof LINES)[number] | null) => ({
  lines: LINES.flatMap((old, at) => (at === index ? (line ? [line] : []) : [old])),
});
const withMore = (...more: typeof LINES) => ({ lines: [...LINES, ...more] });
const withGeneration = (changed: Generation) => ({
  generations: GENERATIONS.map((one) => (one.id === changed.id ? changed : one)),
  seen: [],
});
/** The statement's entries with one of them changed, and the balances unchanged. */
function withEntry(index: number, change: Partial<Entry>): Pick<Book, "statement"> {
  const { statement } = book();
  const entries = statement.entries.map((entry, at) => (at === index ? { ...entry, ...change } : entry));
  return { statement: { ...statement, entries } };
}

it("finds no difference in a consistent account", () => {
  expect(findDifferences(book())).toEqual([]);
});

describe("reports", () => {
  it.each<[string, Change, RegExp]>([
    [
      "a generation charged twice",
      withMore(["charge", -16, "gen_whole", "main", 30]),
      /gen_whole \(succeeded\) is charged 2 times: entry_3 entry_15/,
    ],
    [
      "a second charge in the very next line",
      {
        lines: LINES.toSpliced(3, 0, ["charge", -16, "gen_whole", "main", 1]),
        ...withGeneration({ ...whole, usage: usage(32, 32) }),
      },
      /gen_whole costs 32, not 16/,
    ],
    ["a lost charge", withLine(2, null), /gen_whole \(succeeded\) is charged 0/],
    [
      "a lost refund",
      withLine(7, null),
      /gen_failed \(failed\) kept 8 \(charged 8, refunded 0\), and says 0/,
    ],
    [
      "a refund given twice",
      withMore(["refund", 8, "gen_failed", "main", 30]),
      /gen_failed \(failed\) is refunded at different times: entry_8 entry_15/,
    ],
    [
      "a receipt that is not the book's",
      withGeneration({ ...part, usage: { ...part.usage, credits_refunded: 0 } }),
      /gen_part \(succeeded\) is refunded 8, and says 0/,
    ],
    [
      "a failure that was paid for",
      withGeneration({ ...failed, usage: usage(8, 8) }),
      /gen_failed \(failed\) delivered nothing and kept 8/,
    ],
    [
      "images that were not paid for",
      withGeneration({ ...part, images: [image("img_c"), image("img_a")] }),
      /gen_part kept 8 for 2 of 2 images, not 16/,
    ],
    [
      "a generation that has not ended",
      withGeneration({ ...part, status: "processing" }),
      /gen_part has not ended: processing/,
    ],
    [
      "a generation that is gone",
      { generations: [whole, failed, unheard, canceled] },
      /gen_part is not found, though accepted/,
    ],
    [
      "a 200 that failed afterwards",
      withGeneration({ ...failed, id: "gen_whole" }),
      /gen_whole was answered by 200 and is failed/,
    ],
    [
      "a failure that succeeded afterwards",
      withGeneration({ ...whole, id: "gen_failed" }),
      /gen_failed was answered as failed and is succeeded/,
    ],
    [
      "an ended generation that changed",
      { seen: [{ ...whole, completed_at: at(3) }] },
      /gen_whole was shown as .* and is /,
    ],
    [
      "a missing picture",
      {
        pictures: { ...book().pictures, img_b: { status: 404, contentType: "application/json", bytes: 80 } },
      },
      /promised img_b, image\/png 1000: there is 404 application\/json 80/,
    ],
    [
      "a picture cut short",
      { pictures: { ...book().pictures, img_b: { status: 200, contentType: "image/png", bytes: 999 } } },
      /promised img_b, image\/png 1000: there is 200 image\/png 999/,
    ],
    ["a picture never fetched", { pictures: {} }, /promised img_a, image\/png 1000: there is nothing/],
    [
      "an image named twice",
      withGeneration({ ...whole, images: [image("img_a"), image("img_a")] }),
      /gen_whole \(succeeded\) names an image twice/,
    ],
    [
      "a balance_after that does not continue",
      withEntry(4, { balance_after: 87 }),
      /entry_5 \(charge -12\) leaves 87 after 100/,
    ],
    ["an entry out of its place", withEntry(4, { id: "entry_9" }), /entry_9 stands where entry_5 belongs/],
    ["a balance that the entries do not make", { balance: 95 }, /the caller is told 95, the operator 96/],
    [
      "a grant booked twice",
      withMore(["grant", 100, null, "main", 30]),
      /grant main is booked 2 times, not 1/,
    ],
    ["a lost grant", withLine(0, ["grant", 20, null, "other", 0]), /grant soon is booked 0 times, not 1/],
    [
      "a grant nobody asked for",
      withMore(["grant", 9, null, "gift", 30]),
      /entry_15 books gift: nobody asked/,
    ],
    [
      "a grant of other credits",
      withLine(1, ["grant", 101, null, "main", 0]),
      /grant main is booked with other credits than 100/,
    ],
    [
      "credits that end before their time",
      withLine(11, ["expiry", -5, null, "lapsing", 10]),
      /entry_12 ends grant lapsing before its time/,
    ],
    [
      "a charge that no request explains",
      { requests: book().requests.filter(({ credits }) => credits !== 8) },
      /gen_unheard for 8 was charged, and no request without an answer explains it/,
    ],
    [
      "a refusal with the credits there",
      withRequest(refusedFor(16, 16)),
      /a request for 16 was refused: 16 required, 16 available/,
    ],
    [
      "a refusal for another price",
      withRequest(refusedFor(17, 1)),
      /a request for 16 was refused: 17 required, 1 available/,
    ],
    [
      "an accepted one without a trace",
      withRequest({ kind: "accepted", id: "gen_x" }),
      /gen_x is not found, though accepted/,
    ],
    [
      "a generation that the log does not have",
      { log: { ...book().log, generations: book().log.generations.slice(1) } },
      /gen_whole \(succeeded\) is in the log as undefined/,
    ],
    [
      "an entry that the log has otherwise",
      { log: { ...book().log, entries: book().log.entries.map((row) => ({ ...row, credits: 1 })) } },
      /entry_1 is in the log as .*"credits":1/,
    ],
    [
      "a canceled generation that nobody canceled",
      { cancels: book().cancels.slice(0, 2) },
      /gen_canceled is canceled: nobody asked/,
    ],
    [
      "a canceled generation that was sent to the provider",
      { called: new Set(["gen_canceled"]) },
      /gen_canceled is canceled, and the provider was called/,
    ],
    [
      "a canceled generation that was charged",
      withLine(13, null),
      /gen_canceled \(canceled\) kept 8 \(charged 8, refunded 0\), and says 0/,
    ],
    [
      "a generation that was canceled and went on",
      { cancels: [...book().cancels, { id: "gen_part", result: "canceled" }] },
      /gen_part was asked to be canceled, which was canceled, and is succeeded/,
    ],
    [
      "a refused cancellation that was carried out",
      { cancels: [...book().cancels, { id: "gen_canceled", result: "refused" }] },
      /gen_canceled was asked to be canceled, which was refused, and is canceled/,
    ],
    [
      "a webhook that never arrived",
      { webhooks: book().webhooks.filter(({ event }) => event.data.id !== "gen_canceled") },
      /the webhook of gen_canceled \(canceled\) was not delivered in 0 calls/,
    ],
    [
      "a webhook that was only refused",
      { webhooks: [...book().webhooks.filter(({ status }) => status !== 204), webhookOf(canceled)] },
      /the webhook of gen_part \(succeeded\) was not delivered in 2 calls/,
    ],
    [
      "a webhook of a request without a response that never arrived",
      { webhooks: book().webhooks.filter(({ event }) => event.data.id !== "gen_unheard") },
      /the webhook of gen_unheard \(failed\) was not delivered in 0 calls/,
    ],
    [
      "deliveries that did not end",
      { deliveries: { ...book().deliveries, gen_canceled: [{ ...DELIVERED, next_attempt_at: at(9) }] } },
      /the deliveries of gen_canceled end with .*"next_attempt_at":"2026/,
    ],
    [
      "more attempts than calls",
      { deliveries: { ...book().deliveries, gen_canceled: [{ ...DELIVERED, attempt: 2 }] } },
      /the deliveries of gen_canceled list 2 attempts of 1/,
    ],
    [
      "a webhook without a valid signature",
      { webhooks: [...book().webhooks, webhookOf(part, { signed: false })] },
      /the webhook of gen_part has no valid signature/,
    ],
    [
      "a webhook of another type",
      {
        webhooks: [
          ...book().webhooks,
          webhookOf(canceled, { event: { type: "generation.failed", data: canceled } }),
        ],
      },
      /gen_canceled \(canceled\) has the webhook generation.failed/,
    ],
    [
      "a webhook with another end",
      { webhooks: [...book().webhooks, webhookOf({ ...canceled, completed_at: at(9) })] },
      /the webhook of gen_canceled shows .* and it is /,
    ],
    [
      "a webhook that nobody asked for",
      { webhooks: [...book().webhooks, webhookOf(whole)] },
      /gen_whole has a webhook that it did not ask for/,
    ],
    ["what a client found wrong at once", { complaints: ["a poll got 404"] }, /user_1: a poll got 404/],
  ])("%s", (_, change, line) => {
    expect(findDifferences(book(change)).join("\n")).toMatch(line);
  });
});

it("recognizes the signatures of webhooks", () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  const sentAt = new Date();
  const timestamp = String(Math.floor(sentAt.getTime() / 1000));
  const call = { id: "msg_1", timestamp, body: "{}", receivedAt: sentAt.getTime() };
  const signature = `v1,bad ${new Webhook(secret).sign("msg_1", sentAt, "{}")}`;
  expect(isSigned({ ...call, signature }, secret)).toBe(true);
  expect(isSigned({ ...call, signature, body: "{ }" }, secret)).toBe(false);
  expect(isSigned({ ...call, signature, receivedAt: call.receivedAt + 62_000 }, secret)).toBe(false);
  expect(isSigned({ ...call, signature: "v1,bad" }, secret)).toBe(false);
});

it("generates the same values for the same seed, and others for another seed", () => {
  const drawn = (seed: number) => {
    const random = randomFrom(seed);
    return Array.from({ length: 200 }, () => random.between(1, 6));
  };
  expect(drawn(7)).toEqual(drawn(7));
  expect(drawn(7)).not.toEqual(drawn(8));
  expect([...new Set(drawn(0))].sort()).toEqual([1, 2, 3, 4, 5, 6]);
});
