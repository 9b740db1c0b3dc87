import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { newUser, operate, type TestUser } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { refusal } from "../support/shapes.ts";

/** POST /api/admin/users/:id/rewind. The local runtime has no point-in-time recovery, so the platform's part is replaced. */
const lines: string[] = [];
let user: TestUser;

beforeEach(async () => {
  lines.length = 0;
  spyOnLog((line) => lines.push(line));
  user = await newUser(100);
});

afterEach(() => {
  vi.restoreAllMocks();
});

const rewind = (json: object) => operate("POST", `/users/${user.id}/rewind`, json);
const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();

it("is a 503 where the runtime cannot do it, and changes nothing", async () => {
  const answer = refusal(await rewind({ at: minutesAgo(5) }));
  expect(answer).toMatchObject({ status: 503, message: "This runtime has no point-in-time recovery." });
  expect((await env.ACCOUNT.getByName(user.id).balance()).credits).toBe(100);
  expect(lines.join()).not.toContain("rewind_account");
});

it.each([["at"], ["bookmark"]])(
  "arms the platform's recovery, restarts the account and names the undo: %s",
  async (by) => {
    const asked: unknown[] = [];
    await runInDurableObject(env.ACCOUNT.getByName(user.id), (_, { storage }) => {
      vi.spyOn(storage, "getBookmarkForTime").mockImplementation(async (time) => `at-${Number(time)}`);
      vi.spyOn(storage, "onNextSessionRestoreBookmark").mockImplementation(async (bookmark) => {
        asked.push(bookmark);
        return "undo-1";
      });
    });
    const at = minutesAgo(5);
    const answer = await rewind(by === "at" ? { at } : { bookmark: "undo-0" });
    expect(answer).toMatchObject({
      status: 200,
      body: { object: "rewind", user_id: user.id, undo_bookmark: "undo-1", balance: { credits: 100 } },
    });
    expect(asked).toEqual([by === "at" ? `at-${Date.parse(at)}` : "undo-0"]);
    expect(lines.filter((line) => line.includes("account_restarted"))).toHaveLength(1);
    expect(lines.join()).toContain('"action":"rewind_account"');
  },
);

it.each([
  [{}, null],
  [{ at: "yesterday" }, "at"],
  [{ at: new Date(Date.now() + 60_000).toISOString() }, "at"],
  [{ at: minutesAgo(30 * 24 * 60 + 1) }, "at"],
  [{ bookmark: "a b" }, "bookmark"],
  [{ bookmark: "" }, "bookmark"],
  [{ at: minutesAgo(5), bookmark: "undo-0" }, null],
])("refuses %j", async (json, param) => {
  expect(refusal(await rewind(json))).toMatchObject({ status: 400, param });
});

it("is a 404 for an unknown user", async () => {
  expect((await operate("POST", "/users/nobody/rewind", { at: minutesAgo(5) })).status).toBe(404);
});
