import { env, runInDurableObject } from "cloudflare:test";
import { asc, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, beforeEach, expect, vi } from "vitest";
import type { Account } from "../../src/account/account.ts";
import type { GenerationRequest } from "../../src/account/lifecycle.ts";
import { creditEntries, generations } from "../../src/db/log-schema.ts";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** The defaults of the Worker's configuration. */
export const RUN_DEADLINE_MS = 800 * SECOND;
export const QUEUE_DEADLINE_MS = 3_600 * SECOND;
/** More alarms than any test runs in a row. */
const ALARMS_MAX = 300;
export const ALL = Number.MAX_SAFE_INTEGER;
export const FAILED = { images: [], failure: "generationFailed" } as const;

export type Stub = DurableObjectStub<Account>;

export const queue: Queue = Object.getPrototypeOf(env.GENERATIONS);
export const database: D1Database = Object.getPrototypeOf(env.LOG);
export const bucket: R2Bucket = Object.getPrototypeOf(env.IMAGES);

/** The messages that the queue received in this test. */
export const sent: unknown[] = [];

/**
 * Stops the clock one year ahead and holds the queue: time passes only when a test says so, and alarms run only when a
 * test runs them. Call it once in each test file.
 */
export function holdTimeAndQueue(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 365 * DAY });
    spyOnLog();
    sent.length = 0;
    vi.spyOn(queue, "sendBatch").mockImplementation(async (messages) => {
      for (const { body } of messages) sent.push(body);
      return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
    });
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });
}

export const pass = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);

export function alarmOf(account: Stub): Promise<number | null> {
  return runInDurableObject(account, (_, state) => state.storage.getAlarm());
}

/** Moves the clock to the next alarm and runs it. Null when none is set until then. */
export function nextAlarm(account: Stub, until = Number.POSITIVE_INFINITY): Promise<number | null> {
  return runInDurableObject<Account, number | null>(account, async (instance, { storage }) => {
    const time = await storage.getAlarm();
    if (time === null || time > until) return null;
    vi.setSystemTime(Math.max(time, Date.now()));
    await storage.deleteAlarm();
    await instance.alarm();
    return time;
  });
}

/** Moves the clock and runs the alarms on the way. */
export async function passWithAlarms(
  account: Stub,
  milliseconds: number,
  afterEach = async () => {},
): Promise<void> {
  const until = Date.now() + milliseconds;
  for (let alarms = 0; (await nextAlarm(account, until)) !== null; alarms++) {
    if (alarms === ALARMS_MAX) throw new Error("The alarms do not end.");
    await afterEach();
  }
  vi.setSystemTime(until);
}

/** The error of a call, caught in the object, because the runtime reports errors that cross objects as unhandled. */
export function errorOf(account: Stub, call: (instance: Account) => Promise<unknown>): Promise<string> {
  return runInDurableObject<Account, string>(account, async (instance) => {
    try {
      return `no error, but ${JSON.stringify(await call(instance))}`;
    } catch (error) {
      return String(error);
    }
  });
}

/** A user with credits that never expire, and an account without a pending alarm. */
export async function newUserWith(credits: number) {
  const user = newUser();
  await user.account.grant("first", credits, null, null);
  await passWithAlarms(user.account, MINUTE);
  expect(await alarmOf(user.account)).toBeNull();
  return user;
}

/** A user with 100 credits, and a running generation of two images at 8 credits each, with fence 1. */
export async function newRun(overrides: Partial<GenerationRequest> = {}) {
  const { userId, account } = await newUserWith(100);
  const id = newId("gen");
  const request = aRequest({ n: 2, ...overrides });
  await account.submit(aCommand(id, "sync", request, 8 * request.n));
  return { userId, account, id, all: { images: imagesOf(id, request.n), failure: null } };
}

export async function statusOf(account: Stub, id: string) {
  return (await account.generation(id))?.status;
}

export async function entriesOf(account: Stub) {
  return (await account.statement(ALL, 1_000)).entries.toReversed();
}

/** The kind and the credits of each ledger entry, oldest first. */
export async function linesOf(account: Stub) {
  return (await entriesOf(account)).map(({ kind, credits }) => `${kind} ${credits}`);
}

export async function loggedEntries(userId: string) {
  const rows = await drizzle(env.LOG)
    .select()
    .from(creditEntries)
    .where(eq(creditEntries.userId, userId))
    .orderBy(asc(creditEntries.seq));
  return rows.map(({ userId: _, ...entry }) => entry);
}

export function loggedGenerations(userId: string) {
  return drizzle(env.LOG).select().from(generations).where(eq(generations.userId, userId));
}

export async function dueOf(account: Stub, id: string): Promise<number | null> {
  return runInDurableObject(account, (_, state) => {
    const [row] = state.storage.sql.exec<{ due_at: number | null }>(
      "SELECT due_at FROM generations WHERE id = ?",
      id,
    );
    return row?.due_at ?? null;
  });
}

export async function keysIn(from: R2Bucket, prefix: string): Promise<string[]> {
  return (await from.list({ prefix })).objects.map(({ key }) => key);
}
