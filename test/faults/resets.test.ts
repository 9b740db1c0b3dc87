import { abortAllDurableObjects } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { sketch } from "../../src/providers/sketch/index.ts";
import { call, creditsOf, newUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { Statement } from "../support/shapes.ts";
import { tinyImage } from "../support/tiny-provider.ts";

/** A deployment on a runtime that does not defer it resets every object in the middle of its work. */
const CALLERS = 24;
const DRAWING_MS = 1_500;
const EXTRA_MS_MAX = 10_000;

beforeEach(() => {
  spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const ask = ({ key }: TestUser) =>
  call("POST", "/api/v1/images/generations", { key, json: { model: "gpt-image-2", prompt: "a hill" } });

it(`answers ${CALLERS} sync calls, charged once each, when every object is reset in the middle`, async () => {
  const provider = vi.spyOn(sketch, "generate").mockImplementation(async function* ({ n, size }) {
    await new Promise((resolve) => setTimeout(resolve, DRAWING_MS));
    for (let made = 0; made < n; made++) yield tinyImage(size);
  });
  const users = await Promise.all(Array.from({ length: CALLERS }, () => newUser(100)));
  const began = Date.now();
  const calls = users.map(async (user) => {
    const answer = await ask(user);
    return { answer, ms: Date.now() - began };
  });
  await vi.waitUntil(() => provider.mock.calls.length === CALLERS, { timeout: 15_000 });
  const calledBefore = provider.mock.calls.length;
  await abortAllDurableObjects();
  const ended = await Promise.all(calls);
  expect(ended.map(({ answer }) => answer.status)).toEqual(users.map(() => 200));
  expect(Math.max(...ended.map(({ ms }) => ms))).toBeLessThan(2 * DRAWING_MS + EXTRA_MS_MAX);
  // Each interrupted call is made once more.
  expect(provider.mock.calls.length).toBeLessThanOrEqual(2 * calledBefore);
  for (const user of users) {
    expect(await creditsOf(user)).toBe(92);
    const { entries } = Statement.parse((await operate("GET", `/users/${user.id}/credits`)).body);
    expect(entries.data.map(({ kind, credits }) => `${kind} ${credits}`)).toEqual(["charge -8", "grant 100"]);
  }
}, 60_000);
