import { env, runInDurableObject } from "cloudflare:test";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { beforeEach, expect, it, vi } from "vitest";
import type { NoticeSettings } from "../../src/account/notices.ts";
import { users } from "../../src/db/schema.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";
import { alarmOf, DAY, HOUR, holdTimeAndQueue, MINUTE, passWithAlarms, type Stub } from "./harness.ts";

holdTimeAndQueue();

const MAIL = { MAIL_API_KEY: "mail-key", MAIL_FROM: "hub@hub.test", MAIL_API_URL: "https://mail.test/send" };
const mails: { to: string[]; subject: string; text: string }[] = [];
let answers: number[];

beforeEach(() => {
  mails.length = 0;
  answers = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    mails.push(await new Request(input, init).json());
    return new Response("{}", { status: answers.shift() ?? 200 });
  });
});

const subjects = () => mails.map(({ subject }) => subject);

/** A user of a service that sends mail, unless the settings say otherwise. */
async function aUser(settings: Record<string, string> = MAIL) {
  const { userId, account } = newUser();
  await drizzle(env.DB)
    .insert(users)
    .values({ id: userId, email: `${userId}@example.com`, name: null, createdAt: new Date() });
  await runInDurableObject(account, (object) => {
    Reflect.set(object, "env", { ...env, ...settings });
  });
  const set = (changes: Partial<NoticeSettings>) =>
    account.setNotices({ lowBalance: null, expiring: true, ...changes });
  return { userId, account, set };
}

let generations = 0;

async function spend(account: Stub, credits: number) {
  const id = `gen_${generations++}`;
  await account.submit(aCommand(id, "async", aRequest(), credits));
  await passWithAlarms(account, MINUTE);
  return id;
}

it("mails once when the balance falls below the threshold, and again only after it was above", async () => {
  const { userId, account, set } = await aUser();
  await account.grant("a", 100, null, null);
  await set({ lowBalance: 50 });
  await spend(account, 50);
  expect(mails, "50 is not below 50").toEqual([]);
  await spend(account, 1);
  expect(mails).toEqual([
    {
      from: "hub@hub.test",
      to: [`${userId}@example.com`],
      subject: "Your credits are low",
      text: [
        "Your balance at GPT Image Hub is 49 credits, which is below 50.\n",
        "Your credits: https://hub.test/account/credits",
        "To change or stop these mails: https://hub.test/account/settings",
      ].join("\n"),
    },
  ]);
  await spend(account, 9);
  await account.grant("b", 9, null, null);
  await spend(account, 1);
  expect(mails).toHaveLength(1);
  await account.grant("c", 2, null, null);
  await spend(account, 1);
  expect(mails).toHaveLength(2);
});

it.each([
  ["tr", "Krediniz azaldı", "1.049 kredi", /süresi 7 gün içinde dolacak. İlk tarih: \d+ \p{L}+ \d{4}\./u],
  ["en", "Your credits are low", "1,049 credits", /expire within 7 days, the first on \d+ \w+ \d{4}\./],
  ["xx", "Your credits are low", "1,049 credits", /expire within 7 days/],
])("mails in the language of the user: %s", async (language, subject, balance, expiring) => {
  const { userId, account, set } = await aUser();
  await drizzle(env.DB).update(users).set({ language }).where(eq(users.id, userId));
  await account.grant("a", 1_100, Date.now() + 20 * DAY, null);
  await set({ lowBalance: 1_050 });
  await spend(account, 51);
  expect(subjects()).toEqual([subject]);
  expect(mails[0]?.text).toContain(balance);
  expect(mails[0]?.text).toContain("https://hub.test/account/credits\n");
  await passWithAlarms(account, 14 * DAY);
  expect(mails[1]?.text).toMatch(expiring);
});

it("does not mail about a balance that is below a threshold when it is set, nor without one", async () => {
  const { account, set } = await aUser();
  await account.grant("a", 100, null, null);
  await spend(account, 90);
  await set({ lowBalance: 50 });
  await spend(account, 1);
  await set({ lowBalance: null });
  await spend(account, 9);
  expect(mails).toEqual([]);
});

it("mails once when credits expire within 7 days", async () => {
  const { account } = await aUser();
  const now = Date.now();
  await account.grant("a", 30, now + 10 * DAY, null);
  await account.grant("b", 12, now + 10 * DAY + HOUR, null);
  await account.grant("c", 5, now + 40 * DAY, null);
  await passWithAlarms(account, 3 * DAY - MINUTE);
  expect(mails).toEqual([]);
  await passWithAlarms(account, MINUTE);
  expect(subjects()).toEqual(["Some of your credits expire soon"]);
  expect(mails[0]?.text).toMatch(
    /^30 credits of your balance at GPT Image Hub expire within 7 days, the first on /,
  );
  await passWithAlarms(account, HOUR);
  expect(mails[1]?.text).toMatch(/^12 credits /);
  await passWithAlarms(account, 20 * DAY);
  expect(mails).toHaveLength(2);
  await passWithAlarms(account, 20 * DAY);
  expect(mails).toHaveLength(3);
  expect(await alarmOf(account)).toBeNull();
});

it("does not mail about credits that were spent, nor when the user switched it off", async () => {
  const [spent, off] = [await aUser(), await aUser()];
  const expiresAt = Date.now() + 10 * DAY;
  await spent.account.grant("a", 30, expiresAt, null);
  await spend(spent.account, 30);
  await off.account.grant("a", 30, expiresAt, null);
  await off.set({ expiring: false });
  expect(await off.account.notices()).toEqual({ lowBalance: null, expiring: false });
  for (const { account } of [spent, off]) await passWithAlarms(account, 0);
  await passWithAlarms(off.account, 11 * DAY);
  expect(mails).toEqual([]);
});

it("tries a mail again that failed, five times in all", async () => {
  const { account, set } = await aUser();
  await account.grant("a", 100, null, null);
  await set({ lowBalance: 50 });
  answers = [500, 503];
  await spend(account, 60);
  expect(mails).toHaveLength(1);
  await passWithAlarms(account, DAY);
  expect(mails, "the third is accepted").toHaveLength(3);
  // The generation failed by then, and its refund brought the balance above the threshold.
  expect((await account.balance()).credits).toBe(100);
  answers = Array(10).fill(500);
  const id = await spend(account, 60);
  await account.begin(id);
  await account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
  await passWithAlarms(account, 30 * DAY);
  expect(mails).toHaveLength(3 + 5);
});

it("sets no alarm where the service sends no mail", async () => {
  const { account, set } = await aUser({});
  const expiresAt = Date.now() + 40 * DAY;
  await account.grant("a", 100, expiresAt, null);
  await set({ lowBalance: 50 });
  await spend(account, 60);
  await passWithAlarms(account, 2 * DAY);
  expect(await alarmOf(account)).toBe(expiresAt);
  expect(mails).toEqual([]);
});
