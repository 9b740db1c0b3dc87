import { env } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { ADMIN_TOKEN, call, newUser, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";

const Page = z.object({
  data: z.array(
    z.object({
      id: z.string(),
      action: z.string(),
      request_id: z.string(),
      details: z.record(z.string(), z.unknown()),
    }),
  ),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

let lines: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  lines = spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

async function list(query = "") {
  const answer = await operate("GET", `/audit${query}`);
  expect(answer.status).toBe(200);
  return Page.parse(answer.body);
}

describe("GET /api/admin/audit", () => {
  it("has every change with its request, newest first, and no read", async () => {
    const user = await newUser();
    const granted = await operate("POST", `/users/${user.id}/credits`, { id: "order", credits: 5 });
    await operate("GET", `/users/${user.id}/credits`);
    const reversed = await operate("POST", `/users/${user.id}/grants/order/reverse`);
    const { data } = await list();
    const of = ({ headers }: { headers: Headers }) => headers.get("X-Request-Id");
    expect(data.slice(0, 2)).toMatchObject([
      {
        ...{ action: "reverse_grant", request_id: of(reversed) },
        details: { user_id: user.id, grant_id: "order", taken: 5, shortfall: 0 },
      },
      {
        ...{ action: "grant_credits", request_id: of(granted) },
        details: { user_id: user.id, grant_id: "order", credits: 5, expires_at: null, repeated: false },
      },
    ]);
    expect(data.slice(2, 4).map(({ action }) => action)).toEqual(["create_key", "create_user"]);
  });

  it("comes in pages, without gaps or repeats", async () => {
    await newUser();
    const all = (await list("?limit=200")).data.map(({ id }) => id);
    const walked: string[] = [];
    let cursor = "";
    do {
      const page = await list(`?limit=1${cursor}`);
      walked.push(...page.data.map(({ id }) => id));
      expect(page.has_more).toBe(page.next_cursor !== null);
      cursor = page.next_cursor === null ? "" : `&cursor=${page.next_cursor}`;
    } while (cursor !== "");
    expect(walked).toEqual(all);
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=201", "limit"],
    ["limit=x", "limit"],
    ["cursor=key_1", "cursor"],
    ["other=1", "other"],
  ])("refuses %s", async (query, param) => {
    const { status, body } = await operate("GET", `/audit?${query}`);
    expect(status).toBe(400);
    expect(body).toMatchObject({ error: { param } });
  });

  it("is for the operator only", async () => {
    expect((await call("GET", "/api/admin/audit")).status).toBe(401);
  });

  it("does not undo a change that it cannot record: the log has it", async () => {
    const user = await newUser();
    const broken = new Proxy(env.LOG, {
      get: () => () => {
        throw new Error("the log is away");
      },
    });
    const answer = await call("POST", `/api/admin/users/${user.id}/credits`, {
      key: ADMIN_TOKEN,
      json: { id: "unrecorded", credits: 7 },
      settings: { LOG: broken },
    });
    expect(answer.status).toBe(201);
    const events = lines.mock.calls.map(([line]) => JSON.parse(line));
    expect(events).toContainEqual(expect.objectContaining({ event: "admin_action", grant_id: "unrecorded" }));
    expect(events).toContainEqual({
      event: "audit_failed",
      request_id: answer.headers.get("X-Request-Id"),
      action: "grant_credits",
      error: "Error: the log is away",
    });
  });
});
