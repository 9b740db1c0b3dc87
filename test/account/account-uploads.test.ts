import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import type { Account } from "../../src/account/account.ts";
import { ORPHANS_AFTER_MS } from "../../src/account/cleanup.ts";
import { KEEP_MS, LEASE_MS } from "../../src/account/lifecycle.ts";
import { OPEN_UPLOADS_MAX, UPLOAD_MS_MAX, WASTED_UPLOADS_MAX } from "../../src/account/uploads.ts";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";

import {
  bucket,
  dueOf,
  FAILED,
  holdTimeAndQueue,
  keysIn,
  MINUTE,
  newRun,
  newUserWith,
  pass,
  passWithAlarms,
  RUN_DEADLINE_MS,
  SECOND,
  statusOf,
} from "./harness.ts";

holdTimeAndQueue();

describe("uploads", () => {
  const upload = (id: string, bytes: number | null = null) => ({ id, bytes, call: null });

  it("need credits for each concurrent upload", async () => {
    const { account } = await newUserWith(16);
    const admit = (id: string) => account.admit(8, null, 0, upload(id));
    expect(await admit("upload_1")).toEqual({ kind: "admitted" });
    expect(await admit("upload_2")).toEqual({ kind: "admitted" });
    // What the two uploads will need is not available.
    expect(await admit("upload_3")).toMatchObject({ kind: "insufficient", available: 0 });
    await account.uploadEnded("upload_1");
    expect(await admit("upload_3")).toEqual({ kind: "admitted" });
  });

  it("make room for the next when they became a generation", async () => {
    const { account } = await newUserWith(16);
    await account.admit(8, null, 0, upload("upload_1"));
    await account.submit({ ...aCommand("gen_1", "sync", aRequest(), 8), uploadId: "upload_1" });
    expect(await account.admit(8, null, 0, upload("upload_2"))).toEqual({ kind: "admitted" });
    expect(await account.admit(8, null, 0, upload("upload_3"))).toMatchObject({ kind: "insufficient" });
  });

  it(`without a generation are limited to ${WASTED_UPLOADS_MAX} per minute`, async () => {
    const { account } = await newUserWith(16);
    for (let at = 0; at < WASTED_UPLOADS_MAX; at++) {
      expect(await account.admit(8, null, 0, upload(`upload_${at}`))).toEqual({ kind: "admitted" });
      await account.uploadEnded(`upload_${at}`);
    }
    const limited = { kind: "uploads_limited", retryAfterSeconds: 60 };
    expect(await account.admit(8, null, 0, upload("upload_more"))).toEqual(limited);
    pass(MINUTE);
    expect(await account.admit(8, null, 0, upload("upload_more"))).toEqual({ kind: "admitted" });
  });

  it(`are limited to ${OPEN_UPLOADS_MAX} at a time, and forgotten after a while`, async () => {
    const { account } = await newUserWith(1_000);
    for (let at = 0; at < OPEN_UPLOADS_MAX; at++) {
      expect(await account.admit(8, null, 0, upload(`upload_${at}`))).toEqual({ kind: "admitted" });
    }
    expect(await account.admit(8, null, 0, upload("upload_more"))).toMatchObject({ kind: "uploads_limited" });
    pass(UPLOAD_MS_MAX);
    expect(await account.admit(8, null, 0, upload("upload_more"))).toEqual({ kind: "admitted" });
  });

  it("that became generations do not count as uploads without a generation", async () => {
    const { account } = await newUserWith(8 * (WASTED_UPLOADS_MAX + 1));
    for (let at = 0; at <= WASTED_UPLOADS_MAX; at++) {
      expect(await account.admit(8, null, 0, upload(`upload_${at}`))).toEqual({ kind: "admitted" });
      await account.submit({ ...aCommand(`gen_${at}`, "async", aRequest(), 8), uploadId: `upload_${at}` });
    }
  });

  it("with a used idempotency key may be as large as the first upload, and no larger", async () => {
    const { account } = await newUserWith(8);
    const references = [{ key: "u/1", contentType: "image/png" as const, bytes: 1_000, sha256: "00" }];
    const command = aCommand("gen_1", "sync", aRequest({ references }), 8);
    await account.submit({ ...command, idempotency: { key: "k", fingerprint: "f" } });
    const most = 1_000 + 4 * 1024 * 1024;
    expect(await account.admit(8, "k", 0, upload("upload_1", most))).toEqual({ kind: "admitted" });
    expect(await account.admit(8, "k", 0, upload("upload_2", most + 1))).toEqual({ kind: "conflict" });
    expect(await account.admit(8, "other", 0, upload("upload_3", 9))).toMatchObject({ kind: "insufficient" });
  });
});

describe("objects in R2", () => {
  async function runWithReferences() {
    const id = newId("gen");
    const keys = [`${id}/1`, `${id}/2`];
    for (const key of [...keys, `${id}0/1`]) await env.REFERENCES.put(key, "abc");
    const { userId, account } = await newUserWith(100);
    const references = keys.map((key) => ({
      key,
      contentType: "image/png" as const,
      bytes: 3,
      sha256: "00",
    }));
    await account.submit(aCommand(id, "sync", aRequest({ references }), 8));
    return { userId, account, id };
  }

  it("deletes its references before it answers, and no others", async () => {
    const { account, id } = await runWithReferences();
    await account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
    expect(await keysIn(env.REFERENCES, id)).toEqual([`${id}0/1`]);
    expect(await dueOf(account, id)).toBeNull();
  });

  it("deletes them when the alarm ends the generation", async () => {
    const { account, id } = await runWithReferences();
    await passWithAlarms(account, RUN_DEADLINE_MS);
    expect(await statusOf(account, id)).toBe("failed");
    expect(await keysIn(env.REFERENCES, `${id}/`)).toEqual([]);
  });

  it("deletes them within 30 s of the end when R2 fails twice", async () => {
    const { account, id } = await runWithReferences();
    const fails = vi.spyOn(bucket, "delete").mockRejectedValue(new Error("R2 is down."));
    await account.finish(id, 1, FAILED);
    await passWithAlarms(account, 14 * SECOND);
    expect(fails).toHaveBeenCalledTimes(2);
    expect(await keysIn(env.REFERENCES, `${id}/`)).toHaveLength(2);
    fails.mockRestore();
    await passWithAlarms(account, 15 * SECOND);
    expect(await keysIn(env.REFERENCES, `${id}/`)).toEqual([]);
  });

  it("deletes them later when the object dies between end and cleanup", async () => {
    const { userId, account, id } = await runWithReferences();
    const hangs = vi.spyOn(bucket, "delete").mockReturnValue(new Promise(() => {}));
    const dying = runInDurableObject<Account, void>(account, async (instance, state) => {
      void instance.finish(id, 1, FAILED);
      await vi.waitUntil(() => hangs.mock.calls.length > 0);
      await state.storage.sync();
      state.abort("The machine is gone.");
    });
    await dying.catch(() => null);
    hangs.mockRestore();
    const reborn = env.ACCOUNT.getByName(userId);
    expect(await statusOf(reborn, id)).toBe("failed");
    await passWithAlarms(reborn, 29 * SECOND);
    expect(await keysIn(env.REFERENCES, `${id}/`)).toEqual([]);
  });

  /** Ends a generation with fence 1 or 2, with one image in its result and one that is not. */
  async function endedByFence(fence: 1 | 2) {
    const { account, id } = await newRun({ n: 1 });
    if (fence === 2) {
      await passWithAlarms(account, LEASE_MS);
      await account.begin(id);
    }
    for (const { key } of imagesOf(id, 2)) await env.IMAGES.put(key, "abc");
    await account.finish(id, fence, { images: imagesOf(id, 1), failure: null });
    return { account, id };
  }

  it("deletes images that no response names 20 min after the end, and not before", async () => {
    const { account, id } = await endedByFence(2);
    await passWithAlarms(account, ORPHANS_AFTER_MS - 1);
    await runDurableObjectAlarm(account);
    expect(await keysIn(env.IMAGES, `${id}/`)).toHaveLength(2);
    await passWithAlarms(account, 1);
    expect(await keysIn(env.IMAGES, `${id}/`)).toEqual([`${id}/img_1.png`]);
    expect(await dueOf(account, id)).toBeNull();
  });

  it("deletes orphans again when R2 fails", async () => {
    const { account, id } = await endedByFence(2);
    const fails = vi.spyOn(bucket, "list").mockRejectedValue(new Error("R2 is down."));
    await passWithAlarms(account, ORPHANS_AFTER_MS);
    fails.mockRestore();
    expect(await keysIn(env.IMAGES, `${id}/`)).toHaveLength(2);
    await passWithAlarms(account, MINUTE);
    expect(await keysIn(env.IMAGES, `${id}/`)).toEqual([`${id}/img_1.png`]);
  });

  it("does not look for orphans when there was one run", async () => {
    const { account } = await endedByFence(1);
    const list = vi.spyOn(bucket, "list");
    await passWithAlarms(account, KEEP_MS);
    expect(list).not.toHaveBeenCalled();
  });
});
