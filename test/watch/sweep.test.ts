import { env } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { readState, writeState } from "../../src/db/job-state.ts";
import { newId } from "../../src/id.ts";
import { SWEEP, type Swept, sweep } from "../../src/watch/sweep.ts";
import { aCommand, aRequest, loseAlarm } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { newUser } from "../support/user.ts";

const users: string[] = [];

beforeEach(async () => {
  spyOnLog();
  holdQueue();
  await env.DB.prepare("DELETE FROM job_state").run();
  while (users.length < 5) users.push((await newUser(100)).id);
  users.sort();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const state = async () => readState(env.DB, SWEEP);

it("walks over all users, a slice at a time, and begins again", async () => {
  const asked: (string | undefined)[] = [];
  vi.spyOn(Account.prototype, "checkUp").mockImplementation(function (this: Account) {
    asked.push(Reflect.get(this, "ctx").id.name);
    return { alarmWasLost: false, unfinished: 1, oldestQueuedAt: null, interrupted: 0, webhooksFailing: 0 };
  });
  const slices: string[][] = [];
  for (let run = 0; run < 4; run++) {
    asked.length = 0;
    await sweep(env, 1_000 * run, 2);
    slices.push(asked.map((id) => id ?? "").toSorted());
  }
  expect(slices).toEqual([users.slice(0, 2), users.slice(2, 4), users.slice(4), users.slice(0, 2)]);
  expect(await state()).toEqual({
    after: users[1],
    swept: expect.objectContaining<Partial<Swept>>({ at: 3_000, accounts: 2, unfinished: 2 }),
  });
});

it("a page that ends with the last user is followed by an empty one", async () => {
  await sweep(env, 1, 5);
  expect(await state()).toMatchObject({ after: users[4], swept: { accounts: 5 } });
  await sweep(env, 2, 5);
  expect(await state()).toMatchObject({ after: "", swept: { accounts: 0 } });
});

it("repairs a lost alarm, and adds up what the accounts tell", async () => {
  const [first = "", second = ""] = users;
  for (const id of [first, second]) {
    const account = env.ACCOUNT.getByName(id);
    await account.submit(aCommand(newId("gen"), "async", aRequest(), 8));
  }
  await loseAlarm(env.ACCOUNT.getByName(first));
  await sweep(env, Date.now());
  expect((await state())?.swept).toMatchObject({ accounts: 5, unreachable: 0, alarmsLost: 1, unfinished: 2 });
  await sweep(env, Date.now());
  expect((await state())?.swept).toMatchObject({ accounts: 5, alarmsLost: 0, unfinished: 2 });
});

it("goes on when accounts do not respond, and counts them", async () => {
  vi.spyOn(Account.prototype, "checkUp").mockImplementation(() => {
    throw new Error("the object is away");
  });
  await sweep(env, 1);
  expect(await state()).toMatchObject({ after: "", swept: { accounts: 5, unreachable: 5 } });
});

it("begins again when the state is of another form", async () => {
  await writeState(env.DB, { name: SWEEP.name, schema: SWEEP.schema.loose().partial() }, { later: 1 });
  expect(await state()).toBeNull();
  await sweep(env, 1, 2);
  expect(await state()).toMatchObject({ after: users[1] });
});
