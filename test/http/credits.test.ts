import { afterEach, describe, expect, it, vi } from "vitest";
import { call, newUser, operate } from "../support/http.ts";
import { CreditBalance } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

const DAY_MS = 86_400_000;

afterEach(() => {
  vi.restoreAllMocks();
});

async function balance(key: string) {
  const answer = await call("GET", "/api/v1/credits", { key });
  expect(answer.status).toBe(200);
  return CreditBalance.parse(answer.body);
}

const grant = (userId: string, credits: number, expires_at: string | null = null) =>
  operate("POST", `/users/${userId}/credits`, { credits, expires_at });

const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();

describe("GET /api/v1/credits", () => {
  it("is 0 for a new user", async () => {
    const { key } = await newUser();
    expect(await balance(key)).toEqual({
      object: "credit_balance",
      credits: 0,
      account_type: "FREE",
      next_expiration: null,
    });
  });

  it("shows a change of the account type at once", async () => {
    const { id, key } = await newUser();
    await operate("PATCH", `/users/${id}`, { account_type: "PRO" });
    expect(await balance(key)).toMatchObject({ account_type: "PRO" });
  });

  it("is the rest after each charge", async () => {
    provide();
    const { key } = await newUser(30);
    const json = { model: "gpt-image-2", prompt: "a hill", quality: "2K", n: 2 };
    await call("POST", "/api/v1/images/generations", { key, json });
    expect(await balance(key)).toMatchObject({ credits: 10 });
  });

  it("has the earliest expiry of remaining credits", async () => {
    provide();
    const { id, key } = await newUser(5);
    expect(await balance(key)).toMatchObject({ next_expiration: null });
    const [soon, later] = [inDays(20), inDays(40)];
    await grant(id, 10, later);
    expect(await balance(key)).toMatchObject({ credits: 15, next_expiration: later });
    await grant(id, 8, soon);
    expect(await balance(key)).toMatchObject({ credits: 23, next_expiration: soon });
    await call("POST", "/api/v1/images/generations", {
      key,
      json: { model: "gpt-image-2", prompt: "a hill" },
    });
    expect(await balance(key)).toMatchObject({ credits: 15, next_expiration: later });
  });

  it.each([
    ["counts credits 1 ms before they expire", -1, 12],
    ["no longer counts them at that very time", 0, 5],
  ])("%s", async (_name, milliseconds, credits) => {
    const { id, key } = await newUser(5);
    const expiry = Date.now() + DAY_MS;
    await grant(id, 7, new Date(expiry).toISOString());
    vi.spyOn(Date, "now").mockReturnValue(expiry + milliseconds);
    expect(await balance(key)).toMatchObject({ credits });
  });
});
