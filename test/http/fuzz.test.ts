import { afterAll, beforeAll, expect, inject, it, vi } from "vitest";
import * as z from "zod";
import { routes } from "../../src/http/openapi/routes.ts";
import { ProviderError } from "../../src/providers/provider.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png, seeded } from "../images/samples.ts";
import {
  type Answer,
  type CallOptions,
  call,
  eventually,
  newUser,
  operate,
  type TestUser,
} from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { tinyImage } from "../support/tiny-provider.ts";

declare module "vitest" {
  interface ProvidedContext {
    fuzz: { requests: number; seed: number };
  }
}

/**
 * Random requests to all client routes. Each response must be one that the OpenAPI document names, and in the
 * end the ledgers must balance. `FUZZ_REQUESTS` sets their number, `FUZZ_SEED` their seed.
 */
const { requests: REQUESTS, seed: SEED } = inject("fuzz");
const AT_ONCE = 8;
/** The credits of each user. One of them runs out soon. */
const CREDITS = [1_000_000, 1_000_000, 100];

const random = seeded(SEED);
const chance = (percent: number): boolean => random(100) < percent;
function pick<T>(...choices: [T, ...T[]]): T {
  return choices[random(choices.length)] ?? choices[0];
}

const odd = () =>
  pick(
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "hasOwnProperty",
    "valueOf",
    "__defineGetter__",
    "length",
  );

/** A JSON text, of any type. */
const anyJson = (): string =>
  pick(
    ...([
      "null",
      "true",
      "false",
      "0",
      "1",
      "-1",
      "4",
      "5",
      "1.5",
      "1e400",
      "-0",
      "9007199254740993",
    ] as const),
    ...([
      '""',
      '" "',
      '"\\ud800"',
      "[]",
      "{}",
      "[null]",
      '{"__proto__":null}',
      '[["auto"]]',
      "1e-7",
    ] as const),
    JSON.stringify(odd()),
    `{"${odd()}":${random(9)}}`,
    JSON.stringify("x".repeat(random(3_000))),
  );

const picture = `data:image/png;base64,${Buffer.from(png(8, 8)).toString("base64")}`;

/** Valid and nearly valid values of each field. */
const FIELDS = new Map<string, () => unknown>([
  ["model", () => pick("gpt-image-2", "gpt-image-2", "openai/gpt-image-2", "gpt-image-2-2026-04-21", odd())],
  ["prompt", () => pick("a hill", "a lake", "a harbour", " ", odd())],
  ["size", () => pick("auto", "1024x1024", "512x512", "2048x2048", "9999999999x1", odd())],
  ["quality", () => pick("auto", "low", "high", "2K", "hd", "standard", odd())],
  ["aspect_ratio", () => pick("auto", "1:1", "16:9", odd())],
  ["resolution", () => pick("1K", "2K", "4K", odd())],
  ["n", () => pick(1, 1, 2, 4, 5, 0)],
  ["async", () => chance(50)],
  ["output_format", () => pick("png", "jpeg", odd())],
  ["output_compression", () => random(120)],
  ["background", () => pick("auto", "opaque", "transparent", odd())],
  ["moderation", () => pick("auto", "low", odd())],
  ["user", () => pick("someone", "u".repeat(129), odd())],
  ["response_format", () => pick("url", "b64_json", odd())],
  ["stream", () => chance(50)],
  ["partial_images", () => random(5)],
  ["style", () => pick("vivid", odd())],
  ["mask", () => pick(null, "x")],
  ["input_fidelity", () => pick(null, "high")],
  [
    "images",
    () => pick<unknown>([picture], [{ image_url: picture }], [{ image_url: { url: picture } }], ["x"], []),
  ],
]);

type Member = { name: string; json: string };

/** Mostly a valid request, sometimes with something unusual in it. */
function members(isEdit: boolean): Member[] {
  const named = ["model", "prompt", ...(isEdit ? ["images"] : [])].filter(() => chance(96));
  const more = [...FIELDS.keys()].filter(
    (name) => !named.includes(name) && chance(name === "async" ? 15 : 6),
  );
  const chosen = [...named, ...more].map((name) => ({
    name,
    json: chance(4) ? anyJson() : JSON.stringify(FIELDS.get(name)?.() ?? null),
  }));
  if (chance(6)) chosen.push({ name: odd(), json: anyJson() });
  const [first] = chosen;
  if (first && chance(6)) chosen.push({ name: first.name, json: chance(50) ? first.json : anyJson() });
  return chosen;
}

function jsonBody(isEdit: boolean): CallOptions {
  const text = chance(3)
    ? anyJson()
    : `{${members(isEdit)
        .map(({ name, json }) => `${JSON.stringify(name)}:${json}`)
        .join()}}`;
  const body = chance(2) ? text.slice(0, random(text.length)) : text;
  return { body, headers: { "Content-Type": "application/json" } };
}

function formBody(isEdit: boolean): CallOptions {
  const form = new FormData();
  for (const { name, json } of members(false)) {
    const value: unknown = JSON.parse(json.replace("1e400", "1"));
    form.append(name, typeof value === "string" ? value.toWellFormed() : json);
  }
  const files = isEdit ? random(3) : random(2);
  for (let file = 0; file < files; file++) {
    const usual = isEdit ? pick("image", "image[]", "image[0]") : "reference_image";
    const bytes = pick(png(8, 8), png(8, 8), new Uint8Array(0), new Uint8Array(30));
    form.append(chance(90) ? usual : odd(), new File([bytes], pick("a.png", "", odd())));
  }
  return { body: form };
}

function oddHeaders(): Record<string, string> {
  return {
    ...(chance(15) && { "Idempotency-Key": pick("k1", "k2", "k3", '"k1"', "", "a b", odd()) }),
    ...(chance(15) && { "X-Stainless-Retry-Count": pick("0", "1", "2", "-1", "999999", odd()) }),
    ...(chance(3) && { "Content-Encoding": pick("identity", "gzip", odd()) }),
    ...(chance(3) && {
      "Content-Type": pick("application/json", "text/plain", "multipart/form-data", odd()),
    }),
    ...(chance(4) && { Prefer: pick("wait=1", "respond-async", odd()) }),
    ...(chance(4) && { "X-Test-Scenario": pick("fail", odd()) }),
    ...(chance(4) && { Accept: pick("*/*", "text/html", odd()) }),
    ...(chance(2) && { Authorization: pick("Bearer", "Basic x", `Bearer ${odd()}`, odd()) }),
  };
}

const known = routes.filter(({ path }) => /^\/(api|openai)\/v1\//.test(path));
const ids: string[] = [];

function oddQuery(): string {
  const pairs = Array.from({ length: random(4) }, () => {
    const name = pick("limit", "cursor", "status", "model", "created_after", "idempotency_key", odd());
    const value = pick(
      "1",
      "0",
      "100",
      "101",
      "succeeded",
      "k1",
      "gpt-image-2",
      "2026-01-01T00:00:00Z",
      odd(),
      "%ff",
    );
    return `${name}=${value}`;
  });
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

type Made = { method: string; path: string; options: CallOptions };

function nextRequest(users: readonly TestUser[]): Made {
  const [first] = known;
  // Half of all calls create something.
  const makers = known.filter(({ method }) => method === "post");
  const route = (chance(60) ? makers[random(makers.length)] : known[random(known.length)]) ?? first;
  if (!route) throw new Error("There are no routes.");
  const id = () => pick(odd(), "gpt-image-2", "gen_1", "%00", ids[random(ids.length)] ?? "x");
  const slash = chance(3) ? "/" : "";
  const path = route.path.replace(/\{\w+\}/g, id).replace("/v1", chance(3) ? "/v1/v1" : "/v1") + slash;
  const method = chance(95)
    ? route.method.toUpperCase()
    : pick("GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD");
  const key = users[random(users.length)]?.key;
  const takesBody = method !== "GET" && method !== "HEAD";
  const isEdit = path.includes("edits");
  const { headers = {}, ...body } = takesBody ? (chance(60) ? jsonBody(isEdit) : formBody(isEdit)) : {};
  return {
    method,
    path: path + (route.query || chance(5) ? oddQuery() : ""),
    options: { key: chance(98) ? key : odd(), ...body, headers: { ...headers, ...oddHeaders() } },
  };
}

const Shown = z.object({ id: z.string() });

/** @throws when the document does not name the response, or on an unexpected failure */
async function send({ method, path, options }: Made): Promise<Answer> {
  const answer = await call(method, path, options);
  const ordered = [500, 503].includes(answer.status) ? /generationFailed|image_generation_failed/ : /^/;
  if (answer.status === 501 || answer.status === 502 || !ordered.test(answer.text)) {
    throw new Error(`answered ${answer.status}: ${answer.text}`);
  }
  expect(answer.headers.get("X-Request-Id")).toMatch(/^req_/);
  const shown = Shown.safeParse(answer.body);
  if (shown.success && ids.length < 500) ids.push(shown.data.id);
  return answer;
}

const Page = z.object({
  data: z.array(z.record(z.string(), z.unknown())),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

/** All pages of a list, at the top of the response or in a member. */
async function all(read: (cursor: string) => Promise<unknown>) {
  const found: Record<string, unknown>[] = [];
  for (let cursor = ""; ; ) {
    const { data, has_more, next_cursor } = Page.parse(await read(cursor));
    found.push(...data);
    if (!has_more) return found;
    cursor = `&cursor=${encodeURIComponent(next_cursor ?? "")}`;
  }
}

const Statement = z.object({
  balance: z.object({ credits: z.int() }),
  grants: z.array(z.object({ remaining: z.int() })),
  entries: z.unknown(),
});
const Receipt = z.object({
  id: z.string(),
  status: z.string(),
  usage: z.object({ credits_charged: z.int(), credits_refunded: z.int() }),
});
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** A user's credits, summed in each way. All sums must be equal. */
async function booksOf(user: TestUser) {
  const statement = async (cursor = "") =>
    Statement.parse((await operate("GET", `/users/${user.id}/credits?limit=100${cursor}`)).body);
  const { balance, grants } = await statement();
  const entries = (await all(async (cursor) => (await statement(cursor)).entries)).map((entry) =>
    z.object({ kind: z.string(), credits: z.int(), generation_id: z.string().nullish() }).parse(entry),
  );
  const list = await all(
    async (cursor) => (await call("GET", `/api/v1/generations?limit=100${cursor}`, { key: user.key })).body,
  );
  const receipts = list.map((generation) => Receipt.parse(generation));
  // A deleted generation is not listed, and its entries stay.
  const listed = new Set(receipts.map(({ id }) => id));
  const ofKind = (kind: string, isListed: boolean) =>
    sum(
      entries
        .filter((entry) => entry.kind === kind && (!isListed || listed.has(entry.generation_id ?? "")))
        .map(({ credits }) => credits),
    );
  return {
    open: receipts.filter(({ status }) => status === "queued" || status === "processing").length,
    balance: balance.credits,
    entries: sum(entries.map(({ credits }) => credits)),
    remaining: sum(grants.map(({ remaining }) => remaining)),
    spent: -ofKind("charge", false) - ofKind("refund", false),
    charges: [-ofKind("charge", true), sum(receipts.map(({ usage }) => usage.credits_charged))],
    refunds: [ofKind("refund", true), sum(receipts.map(({ usage }) => usage.credits_refunded))],
    generations: receipts.length,
  };
}

beforeAll(() => {
  spyOnLog();
  let calls = 0;
  vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n }) {
    calls += 1;
    const failure = calls % 11;
    for (let made = 0; made < (failure === 3 ? n - 1 : n); made++) yield tinyImage();
    if (failure === 5) throw new ProviderError({ reason: "refused" }, "a double fails as it was told");
    if (failure === 7) throw new ProviderError({ reason: "invalid" }, "a double fails as it was told");
  });
});

afterAll(() => vi.restoreAllMocks());

it(
  `${REQUESTS} random requests, of seed ${SEED}, get documented responses, and the ledgers balance`,
  async () => {
    const users = await Promise.all(CREDITS.map((credits) => newUser(credits)));
    const statuses = new Map<number, number>();
    for (let done = 0; done < REQUESTS; done += AT_ONCE) {
      const made = Array.from({ length: Math.min(AT_ONCE, REQUESTS - done) }, () => nextRequest(users));
      await Promise.all(
        made.map(async (request, index) => {
          try {
            const { status } = await send(request);
            statuses.set(status, (statuses.get(status) ?? 0) + 1);
          } catch (error) {
            const told = JSON.stringify({ ...request, options: { ...request.options, key: undefined } });
            throw new Error(`seed ${SEED}, request ${done + index}: ${told.slice(0, 2_000)}`, {
              cause: error,
            });
          }
        }),
      );
    }
    console.info(
      `seed ${SEED}: ${[...statuses]
        .sort()
        .map((pair) => pair.join(" × "))
        .join(", ")}`,
    );
    for (const status of [200, 400, 401, 404, 405]) expect([...statuses.keys()]).toContain(status);
    for (const [index, user] of users.entries()) {
      const books = await eventually(async () => {
        const found = await booksOf(user);
        return found.open === 0 ? found : null;
      });
      expect(books.generations).toBeGreaterThan(0);
      expect([books.entries, books.remaining]).toEqual([books.balance, books.balance]);
      expect(books.charges[0]).toBe(books.charges[1]);
      expect(books.refunds[0]).toBe(books.refunds[1]);
      expect((CREDITS[index] ?? 0) - books.spent).toBe(books.balance);
    }
  },
  60_000 + REQUESTS * 200,
);
