import { env } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { call, newUser, type TestUser } from "../support/http.ts";
import { provide } from "../support/tiny-provider.ts";

const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const Page = z.object({
  object: z.literal("list"),
  data: z.array(z.looseObject({ id: z.string(), status: z.string() })),
  has_more: z.boolean(),
  next_cursor: z.string().nullable(),
});

afterEach(() => vi.restoreAllMocks());

async function make({ key }: TestUser, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let made = 0; made < count; made++) {
    const { body } = await call("POST", "/api/v1/images/generations", { key, json: request });
    ids.push(z.looseObject({ id: z.string() }).parse(body).id);
  }
  return ids.reverse();
}

async function list({ key }: TestUser, query = "") {
  return Page.parse((await call("GET", `/api/v1/generations?${query}`, { key })).body);
}

describe("GET /api/v1/generations", () => {
  it("pages through all generations of one user, newest first", async () => {
    provide();
    const user = await newUser(100);
    const other = await newUser(8);
    const ids = await make(user, 5);
    await make(other, 1);
    const pages = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page: z.infer<typeof Page> = await list(user, `limit=2${cursor && `&cursor=${cursor}`}`);
      pages.push(page.data.map(({ id }) => id));
      cursor = page.next_cursor;
      expect(page.has_more).toBe(cursor !== null);
    }
    expect(pages).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
  });

  it("shows unfinished generations, and those not logged yet", async () => {
    provide();
    const user = await newUser(100);
    const [logged] = await make(user, 1);
    vi.spyOn(Object.getPrototypeOf(env.DB), "batch").mockRejectedValueOnce(new Error("D1 is down."));
    const [unlogged] = await make(user, 1);
    const queued = await call("POST", "/api/v1/images/generations", {
      key: user.key,
      json: { ...request, async: true },
    });
    const { id } = z.looseObject({ id: z.string() }).parse(queued.body);
    expect((await list(user)).data.map((generation) => generation.id)).toEqual([id, unlogged, logged]);
    const ended = (await list(user, "status=succeeded")).data.map((generation) => generation.id);
    expect(ended).toEqual(expect.arrayContaining([unlogged, logged]));
  });

  it("filters by status, model and time", async () => {
    provide();
    const user = await newUser(100);
    const [id] = await make(user, 1);
    const [failed] = await (async () => {
      vi.restoreAllMocks();
      provide(0, { reason: "refused" });
      await call("POST", "/api/v1/images/generations", { key: user.key, json: request });
      return (await list(user, "status=failed")).data;
    })();
    expect(failed?.status).toBe("failed");
    expect((await list(user, "status=succeeded")).data.map((row) => row.id)).toEqual([id]);
    expect((await list(user, "status=queued")).data).toEqual([]);
    expect((await list(user, "model=gpt-image-2")).data).toHaveLength(2);
    expect((await list(user, "model=other")).data).toEqual([]);
    expect((await list(user, "created_after=2000-01-01T00:00:00Z")).data).toHaveLength(2);
    expect((await list(user, "created_before=2000-01-01T00:00:00Z")).data).toEqual([]);
  });

  it.each([
    ["limit=0", "limit"],
    ["limit=101", "limit"],
    ["limit=x", "limit"],
    ["cursor=x", "cursor"],
    ["status=done", "status"],
    ["created_after=yesterday", "created_after"],
    ["colour=red", "colour"],
  ])("refuses %s, and names it", async (query, param) => {
    const { key } = await newUser();
    const answer = await call("GET", `/api/v1/generations?${query}`, { key });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: "invalid_request", param } } });
  });

  it.each([1, 100])("accepts a limit of %i", async (limit) => {
    const { key } = await newUser();
    expect((await call("GET", `/api/v1/generations?limit=${limit}`, { key })).status).toBe(200);
  });
});
