import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { readGeneration } from "../../src/generations/read.ts";
import { newId } from "../../src/id.ts";
import { hashKey } from "../../src/keys/format.ts";
import { lookUpKeyAndGeneration } from "../../src/keys/lookup.ts";
import { anOrder } from "../support/account.ts";
import { holdQueue } from "../support/queue.ts";
import { newUser } from "../support/user.ts";
import { requestOf } from "./requests.ts";

beforeEach(() => {
  vi.spyOn(console, "log").mockReturnValue();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** What the caller with that key reads, and whether the log had it. */
async function read(caller: { id: string; key: string }, id: string) {
  const { found } = await lookUpKeyAndGeneration(env.DB, await hashKey(caller.key), Date.now(), id);
  return { logged: found !== null, record: await readGeneration(found, caller.id, id, env) };
}

it("reads an unfinished generation from its account, an ended one from the log: the same record", async () => {
  holdQueue();
  const owner = await newUser();
  const account = env.ACCOUNT.getByName(owner.id);
  const id = newId("gen");
  await account.submit(anOrder(id, "async", requestOf(2), 16));
  expect(await read(owner, id)).toMatchObject({ logged: false, record: { id, status: "queued" } });
  await account.begin(id);
  const image = {
    id: newId("img"),
    key: `${id}/a.png`,
    contentType: "image/png",
    width: 3,
    height: 4,
    bytes: 5,
  };
  await account.finish(id, 1, { images: [{ ...image, createdAt: 6 }], failure: null });
  const ended = await read(owner, id);
  expect(ended).toEqual({ logged: true, record: await account.detail(id) });
  expect(ended.record).toMatchObject({ status: "succeeded", creditsRefunded: 8, images: [image] });
});

it("shows nobody the generations of another, ended or not, nor what never was", async () => {
  holdQueue();
  const [owner, other] = [await newUser(), await newUser()];
  const account = env.ACCOUNT.getByName(owner.id);
  const [ended, waiting] = [newId("gen"), newId("gen")];
  await account.submit(anOrder(ended, "async", requestOf(1), 8));
  await account.begin(ended);
  await account.finish(ended, 1, { images: [], failure: "generationFailed" });
  await account.submit(anOrder(waiting, "async", requestOf(1), 8));
  for (const id of [ended, waiting, newId("gen")]) {
    expect(await read(other, id)).toEqual({ logged: false, record: null });
  }
});
