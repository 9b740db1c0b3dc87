import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  type Answer,
  call,
  creditsOf,
  eventually,
  newUser,
  operate,
  type TestUser,
} from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { refusal, Statement } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** Overload: refusals are the documented ones, and every accepted generation ends. */
const PATH = "/api/v1/images/generations";
const PRICE = 8;
const OF_ONE_USER = 500;
const PAID_FOR = 40;
/** The test runs one process with one database, which handles this many requests in seconds. */
const USERS = 60;
const EACH = 3;
const AFFORDED = 2;
const TIMEOUT_MS = 240_000;

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const ask = ({ key }: TestUser) =>
  call("POST", PATH, { key, json: { model: "gpt-image-2", prompt: "a hill", async: true } });

/** Only documented refusals, each with the data that the client needs. */
function expectRefusals(answers: readonly Answer[]): void {
  for (const answer of answers) {
    expect([402, 429, 503]).toContain(answer.status);
    expect(refusal(answer).code).toMatch(/insufficientCredits|rateLimited|serviceUnavailable/);
    if (answer.status !== 402) expect(Number(answer.headers.get("Retry-After"))).toBeGreaterThan(0);
  }
}

/** Waits until all accepted generations have ended. Each was charged once, and delivered. */
async function expectEnds(user: TestUser, taken: number, credits: number): Promise<void> {
  expect(await creditsOf(user)).toBe(credits - taken * PRICE);
  await eventually(async () => {
    const { body } = await call("GET", "/api/v1/generations?limit=100&status=succeeded", { key: user.key });
    return JSON.stringify(body).match(/"image_generation"/g)?.length === taken;
  });
  const { entries } = Statement.parse((await operate("GET", `/users/${user.id}/credits`)).body);
  expect(entries.data.filter(({ kind }) => kind === "charge")).toHaveLength(Math.min(taken, 20));
}

describe("overload", () => {
  it(
    "of one user: 500 requests on a balance for 40",
    async () => {
      const provider = provide();
      const user = await newUser(PRICE * PAID_FOR);
      const answers = await Promise.all(Array.from({ length: OF_ONE_USER }, () => ask(user)));
      const taken = answers.filter(({ status }) => status === 202);
      expect(taken).toHaveLength(PAID_FOR);
      expectRefusals(answers.filter(({ status }) => status !== 202));
      await expectEnds(user, PAID_FOR, PRICE * PAID_FOR);
      expect(provider).toHaveBeenCalledTimes(PAID_FOR);
    },
    TIMEOUT_MS,
  );

  it(
    "of many users: each gets what it paid for, and no more",
    async () => {
      provide();
      const users = await Promise.all(Array.from({ length: USERS }, () => newUser(PRICE * AFFORDED)));
      const answers = await Promise.all(
        users.map((user) => Promise.all(Array.from({ length: EACH }, () => ask(user)))),
      );
      for (const [at, user] of users.entries()) {
        const taken = answers[at]?.filter(({ status }) => status === 202) ?? [];
        expectRefusals(answers[at]?.filter(({ status }) => status !== 202) ?? []);
        expect(taken).toHaveLength(AFFORDED);
        await expectEnds(user, AFFORDED, PRICE * AFFORDED);
      }
    },
    TIMEOUT_MS,
  );
});
