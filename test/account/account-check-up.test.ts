import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, loseAlarm } from "../support/account.ts";
import {
  alarmOf,
  FAILED,
  HOUR,
  holdTimeAndQueue,
  linesOf,
  MINUTE,
  newUserWith,
  pass,
  passWithAlarms,
  type Stub,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

const QUIET = {
  alarmWasLost: false,
  ...{ unfinished: 0, oldestQueuedAt: null, interrupted: 0, webhooksFailing: 0 },
};

/** Loses the alarm of an object that remembers when it should fire. */
async function loseAlarmOnly(account: Stub): Promise<Stub> {
  await runInDurableObject(account, (_, { storage }) => storage.deleteAlarm());
  return account;
}

it("finds nothing in an account without work, and sets no alarm", async () => {
  const { account } = await newUserWith(100);
  expect(await account.checkUp()).toEqual(QUIET);
  expect(await alarmOf(account)).toBeNull();
});

it("counts what waits, and leaves an alarm that is set", async () => {
  const { account } = await newUserWith(100);
  const acceptedAt = Date.now();
  await account.submit(aCommand(newId("gen"), "async", aRequest(), 8));
  pass(MINUTE);
  await account.submit(aCommand(newId("gen"), "async", aRequest(), 8));
  const alarm = await alarmOf(account);
  expect(await account.checkUp()).toEqual({ ...QUIET, unfinished: 2, oldestQueuedAt: acceptedAt });
  expect(await alarmOf(account)).toBe(alarm);
});

it.each<[string, (account: Stub) => Promise<Stub>]>([
  ["while the object was in memory", loseAlarmOnly],
  ["and the object was evicted", loseAlarm],
])("sets an alarm that was lost %s, so that the generation is refunded", async (_, lose) => {
  const user = await newUserWith(100);
  const id = newId("gen");
  await user.account.submit(aCommand(id, "async", aRequest(), 8));
  const account = await lose(user.account);
  pass(2 * HOUR);
  expect(await account.checkUp()).toMatchObject({ alarmWasLost: true, unfinished: 1 });
  expect(await account.checkUp()).toMatchObject({ alarmWasLost: false, unfinished: 1 });
  await passWithAlarms(account, MINUTE);
  expect(await statusOf(account, id)).toBe("failed");
  expect(await linesOf(account)).toEqual(["grant 100", "charge -8", "refund 8"]);
});

it("sets an alarm that is much later than it is needed", async () => {
  const user = await newUserWith(100);
  await user.account.submit(aCommand(newId("gen"), "async", aRequest(), 8));
  const needed = await alarmOf(user.account);
  const account = await loseAlarm(user.account, Date.now() + HOUR);
  expect(await account.checkUp()).toMatchObject({ alarmWasLost: true });
  expect(await alarmOf(account)).toBeLessThanOrEqual(Math.max(needed ?? 0, Date.now() + 10 * MINUTE));
});

it("counts runs that died within the last hour", async () => {
  const { account } = await newUserWith(100);
  const id = newId("gen");
  await account.submit(aCommand(id, "sync", aRequest(), 8));
  await account.takeOver(id, 1);
  expect(await account.checkUp()).toMatchObject({ interrupted: 1 });
  await account.finish(id, 2, FAILED);
  await passWithAlarms(account, HOUR - MINUTE);
  expect(await account.checkUp()).toMatchObject({ interrupted: 1, unfinished: 0 });
  await passWithAlarms(account, 2 * MINUTE);
  expect(await account.checkUp()).toMatchObject({ interrupted: 0 });
});
