import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { findGeneration, LogUnavailableError, listGenerations } from "../../src/generations/read.ts";
import { newId } from "../../src/id.ts";
import { aCommand, imagesOf } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";
import { newUser } from "../support/user.ts";
import { requestOf } from "./requests.ts";

const DAY_MS = 86_400_000;
const ALL = { status: null, model: null, createdAfter: null, createdBefore: null };

beforeEach(() => {
  spyOnLog();
  holdQueue();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

async function newOwner() {
  const { id } = await newUser();
  return { userId: id, account: env.ACCOUNT.getByName(id) };
}

type Owner = Awaited<ReturnType<typeof newOwner>>;

/** A generation that waits, or has ended with one of its two images. */
async function make({ account }: Owner, status: "queued" | "succeeded"): Promise<string> {
  const id = newId("gen");
  await account.submit(aCommand(id, "async", requestOf(2), 16));
  if (status === "queued") return id;
  await account.begin(id);
  await account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
  return id;
}

const forgetInAccount = ({ account }: Owner, id: string) =>
  runInDurableObject(account, (_, { storage }) => {
    storage.sql.exec("DELETE FROM generations WHERE id = ?", id);
  });

const forgetInLog = (id: string) => env.LOG.prepare("DELETE FROM generations WHERE id = ?").bind(id).run();

const find = (userId: string, id: string, later = 0) =>
  findGeneration(userId, id, true, Date.now() + later, env);

describe("findGeneration", () => {
  // A day later the log is asked first.
  it.each([0, 2 * DAY_MS])(
    "finds the same record in the account and in the log, %i ms later",
    async (later) => {
      const owner = await newOwner();
      const id = await make(owner, "succeeded");
      const inBoth = await find(owner.userId, id, later);
      expect(inBoth).toMatchObject({ id, status: "succeeded", creditsRefunded: 8, images: imagesOf(id, 1) });
      expect(inBoth).toEqual(await owner.account.detail(id));
      await forgetInAccount(owner, id);
      expect(await find(owner.userId, id, later)).toEqual(inBoth);
    },
  );

  it.each([0, 2 * DAY_MS])("finds what the log does not have yet, %i ms later", async (later) => {
    const owner = await newOwner();
    const [waiting, ended] = [await make(owner, "queued"), await make(owner, "succeeded")];
    await forgetInLog(ended);
    expect(await find(owner.userId, waiting, later)).toMatchObject({ id: waiting, status: "queued" });
    expect(await find(owner.userId, ended, later)).toMatchObject({ id: ended, status: "succeeded" });
  });

  it.each([0, 2 * DAY_MS])("shows nobody the generations of another, %i ms later", async (later) => {
    const [owner, other] = [await newOwner(), await newOwner()];
    for (const id of [await make(owner, "succeeded"), await make(owner, "queued"), newId("gen")]) {
      expect(await find(other.userId, id, later)).toBeNull();
    }
  });
});

describe("listGenerations", () => {
  const list = async (
    { userId }: Owner,
    filter: Partial<typeof ALL | { status: "queued" | "succeeded" }> = {},
  ) => (await listGenerations(userId, { ...ALL, ...filter }, null, 10, env)).records.map(({ id }) => id);

  it("shows once what both have, and what only one of them has", async () => {
    const owner = await newOwner();
    const [old, both, unlogged] = [
      await make(owner, "succeeded"),
      await make(owner, "succeeded"),
      await make(owner, "succeeded"),
    ];
    const waiting = await make(owner, "queued");
    await forgetInAccount(owner, old);
    await forgetInLog(unlogged);
    expect(await list(owner)).toEqual([old, both, unlogged, waiting].toSorted().toReversed());
    expect(await list(owner, { status: "succeeded" })).toHaveLength(3);
    expect(await list(owner, { status: "queued" })).toEqual([waiting]);
  });

  it("shows the end of a generation that ends while the list is read", async () => {
    const owner = await newOwner();
    const id = await make(owner, "queued");
    // The account is read first here, and the generation ends before the log is read.
    const before = await owner.account.generations(ALL, null, 10);
    await owner.account.begin(id);
    await owner.account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
    const account = new Proxy(owner.account, {
      get: (target, name) => (name === "generations" ? async () => before : Reflect.get(target, name)),
    });
    const ACCOUNT = new Proxy(env.ACCOUNT, { get: () => () => account });
    const { records } = await listGenerations(owner.userId, ALL, null, 10, { LOG: env.LOG, ACCOUNT });
    expect(records).toMatchObject([{ id, status: "succeeded" }]);
  });
});

describe("when the log does not answer", () => {
  const LOG = new Proxy(env.LOG, {
    get: () => () => {
      throw new Error("D1 is down.");
    },
  });

  it("generations of the last day and lists of what has not ended can be read, and nothing else", async () => {
    const owner = await newOwner();
    const [ended, waiting] = [await make(owner, "succeeded"), await make(owner, "queued")];
    const bindings = { LOG, ACCOUNT: env.ACCOUNT };
    const now = Date.now();
    expect(await findGeneration(owner.userId, ended, true, now, bindings)).toMatchObject({ id: ended });
    const queued = await listGenerations(owner.userId, { ...ALL, status: "queued" }, null, 10, bindings);
    expect(queued.records.map(({ id }) => id)).toEqual([waiting]);
    const old = findGeneration(owner.userId, ended, true, now + 2 * DAY_MS, bindings);
    await expect(old).rejects.toThrow(LogUnavailableError);
    const all = listGenerations(owner.userId, ALL, null, 10, bindings);
    await expect(all).rejects.toThrow(LogUnavailableError);
  });
});
