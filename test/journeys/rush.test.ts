import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { call, creditsOf, eventually, newUser, operate } from "../support/http.ts";
import { Generated, Pending, refusal, Statement, Succeeded } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** Parallel requests: no credit is spent twice, and none is lost. */
const PATH = "/api/v1/images/generations";
const AT_ONCE = 40;
const PAID_FOR = 10;

afterEach(() => {
  vi.restoreAllMocks();
});

describe.each([false, true])("40 requests at once on a balance for 10, async %s", (async) => {
  it("accepts 10 and refuses 30 with the balance", async () => {
    const provider = provide();
    const user = await newUser(8 * PAID_FOR);
    const json = { model: "gpt-image-2", prompt: "a hill", async };
    const answers = await Promise.all(
      Array.from({ length: AT_ONCE }, () => call("POST", PATH, { key: user.key, json })),
    );
    const accepted = answers.filter(({ status }) => status === (async ? 202 : 200));
    const refused = answers.filter(({ status }) => status === 402);
    expect([accepted.length, refused.length]).toEqual([PAID_FOR, AT_ONCE - PAID_FOR]);
    for (const answer of refused) expect(refusal(answer)).toMatchObject({ required: 8, available: 0 });
    expect(await creditsOf(user)).toBe(0);

    const shape = async ? Pending : Generated;
    const ids = accepted.map(({ body }) => shape.parse(body).id);
    await Promise.all(ids.map((id) => succeeded(id, user.key)));
    expect(provider).toHaveBeenCalledTimes(PAID_FOR);
    expect(new Set(ids).size).toBe(PAID_FOR);
    const { entries } = Statement.parse((await operate("GET", `/users/${user.id}/credits`)).body);
    expect(entries.data.map((entry) => entry.balance_after)).toEqual([
      0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80,
    ]);
    const rows = await env.LOG.prepare("SELECT count(*) AS made FROM generations WHERE user_id = ?")
      .bind(user.id)
      .first();
    expect(rows).toEqual({ made: PAID_FOR });
  }, 30_000);
});

it("40 parallel failures refund every credit", async () => {
  provide(0, { reason: "refused" });
  const user = await newUser(8 * AT_ONCE);
  const json = { model: "gpt-image-2", prompt: "a hill" };
  const answers = await Promise.all(
    Array.from({ length: AT_ONCE }, () => call("POST", PATH, { key: user.key, json })),
  );
  expect(answers.map((answer) => refusal(answer).code)).toEqual(
    Array(AT_ONCE).fill("contentPolicyViolation"),
  );
  expect(await creditsOf(user)).toBe(8 * AT_ONCE);
});

it("parallel charges and grants leave exactly the sum", async () => {
  provide();
  const user = await newUser(8 * PAID_FOR);
  const json = { model: "gpt-image-2", prompt: "a hill" };
  const answers = await Promise.all(
    Array.from({ length: 2 * PAID_FOR }, (_, at) =>
      at % 2 === 0
        ? call("POST", PATH, { key: user.key, json })
        : operate("POST", `/users/${user.id}/credits`, { id: `order-${at}`, credits: 3 }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map((_, at) => (at % 2 === 0 ? 200 : 201)));
  expect(await creditsOf(user)).toBe(3 * PAID_FOR);
}, 30_000);

async function succeeded(id: string, key: string): Promise<void> {
  await eventually(
    async () => Succeeded.safeParse((await call("GET", `/api/v1/generations/${id}`, { key })).body).success,
  );
}
