import { env } from "cloudflare:test";
import { expect, it } from "vitest";
import { findUser, visit } from "./visitor.ts";

const DEVELOPMENT = { PUBLIC_BASE_URL: "http://localhost:8787" };

async function aUser() {
  const visitor = visit(DEVELOPMENT);
  const user = await findUser(await visitor.signUp());
  const save = async (fields: Record<string, string>) => {
    const answer = await visitor.post("/account/settings/mails", fields);
    return { status: answer.status, text: await answer.text() };
  };
  const saved = () => env.ACCOUNT.getByName(user?.id ?? "").notices();
  return { visitor, save, saved };
}

it("saves a threshold and the switch for mails about expiry, and shows them", async () => {
  const { visitor, save, saved } = await aUser();
  expect(await saved()).toEqual({ lowBalance: null, expiring: true });
  expect((await save({ low_balance: "500" })).status).toBe(303);
  expect(await saved()).toEqual({ lowBalance: 500, expiring: false });
  const page = await (await visitor.get("/account/settings")).text();
  expect(page).toContain('value="500"');
  expect(page).toMatch(/<input type="checkbox" name="expiring" value="on"\/>/);
  expect((await save({ low_balance: "", expiring: "on" })).status).toBe(303);
  expect(await saved()).toEqual({ lowBalance: null, expiring: true });
});

it.each([
  ["1", 303],
  ["1000000000", 303],
  ["0", 422],
  ["1000000001", 422],
  ["-5", 422],
  ["1.5", 422],
  ["many", 422],
])("a threshold of %s is answered with %i", async (low_balance, status) => {
  const { save, saved } = await aUser();
  const answer = await save({ low_balance });
  expect(answer.status).toBe(status);
  if (status === 422)
    expect(answer.text).toContain("Enter a whole number from 1 to 1,000,000,000, or nothing.");
  expect((await saved()).lowBalance).toBe(status === 303 ? Number(low_balance) : null);
});

it("shows no settings for mails where the service sends none", async () => {
  const visitor = visit();
  await visitor.signUp();
  expect(await (await visitor.get("/account/settings")).text()).not.toContain("Tell me when");
});
