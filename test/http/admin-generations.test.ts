import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { newId } from "../../src/id.ts";
import { call, newUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { Generated, refusal } from "../support/shapes.ts";
import { provide } from "../support/tiny-provider.ts";

/** GET /api/admin/generations/:id. */
let user: TestUser;
let id: string;

beforeEach(async () => {
  spyOnLog();
  provide();
  user = await newUser(100);
  const json = { model: "gpt-image-2", prompt: "a hill" };
  ({ id } = Generated.parse(
    (await call("POST", "/api/v1/images/generations", { key: user.key, json })).body,
  ));
});

afterEach(() => {
  vi.restoreAllMocks();
});

const report = (query = `?user_id=${user.id}`, of = id) => operate("GET", `/generations/${of}${query}`);

it("has the record, and what the account knows", async () => {
  expect((await report()).body).toMatchObject({
    object: "generation_report",
    user_id: user.id,
    generation: { id, status: "succeeded", usage: { credits: 8 } },
    account: {
      ...{
        mode: "sync",
        api_key_id: user.keyId,
        provider_calls: 1,
        fence: 1,
        logged: true,
        deleted_at: null,
      },
      allocations: [{ credits: 8 }],
    },
    deliveries: [],
  });
});

it("has only the record once the account has pruned it, and only the facts of a deleted one", async () => {
  await call("DELETE", `/api/v1/generations/${id}`, { key: user.key });
  expect((await report()).body).toMatchObject({
    generation: null,
    account: { deleted_at: expect.any(String) },
  });
  const json = { model: "gpt-image-2", prompt: "a hill" };
  const { body } = await call("POST", "/api/v1/images/generations", { key: user.key, json });
  const other = Generated.parse(body).id;
  await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
    storage.sql.exec("DELETE FROM generations WHERE id = ?", other);
  });
  expect((await report(undefined, other)).body).toMatchObject({ generation: { id: other }, account: null });
});

it("is a 404 for another user's and for an unknown id, and a 400 without a user", async () => {
  const other = await newUser();
  expect(refusal(await report(`?user_id=${other.id}`)).status).toBe(404);
  expect(refusal(await report(undefined, newId("gen"))).status).toBe(404);
  expect(refusal(await report(undefined, "x")).status).toBe(404);
  expect(refusal(await report(""))).toMatchObject({ status: 400, param: "user_id" });
});
