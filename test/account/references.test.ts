import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  REFERENCE_KEEP_MS,
  UPLOADED_BYTES_MAX,
  UPLOADED_REFERENCES_MAX,
} from "../../src/account/references.ts";
import type { UploadedReference } from "../../src/account/store/references.ts";
import { OPEN_UPLOADS_MAX, WASTED_UPLOADS_MAX } from "../../src/account/uploads.ts";
import { newId } from "../../src/id.ts";
import { uploadedReferenceKey } from "../../src/images/references.ts";
import { aCommand, aRequest, imagesOf, newUser } from "../support/account.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";

const MINUTE = 60_000;
const R2: R2Bucket = Object.getPrototypeOf(env.REFERENCES);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  spyOnLog();
  holdQueue();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

async function newAccount(credits = 100) {
  const { userId, account } = newUser();
  await account.grant("first", credits, null, null);
  return { userId, account };
}

/** A reference whose object lies in storage. */
async function uploaded(
  userId: string,
  changes: Partial<UploadedReference> = {},
): Promise<UploadedReference> {
  const id = newId("ref");
  const key = uploadedReferenceKey(userId, id);
  await env.REFERENCES.put(key, "picture");
  const shape = { contentType: "image/png" as const, bytes: 7, width: 8, height: 8, sha256: "ab".repeat(32) };
  return { id, key, ...shape, livemode: true, expiresAt: Date.now() + REFERENCE_KEEP_MS, ...changes };
}

async function kept(changes: Partial<UploadedReference> = {}) {
  const { userId, account } = await newAccount();
  const reference = await uploaded(userId, changes);
  expect(await account.keepReference(reference)).toBe("kept");
  return { userId, account, reference };
}

const objectOf = async ({ key }: UploadedReference) => (await env.REFERENCES.head(key)) !== null;

/** Lets the time pass, and the alarms that come meanwhile. */
async function pass(account: Awaited<ReturnType<typeof kept>>["account"], milliseconds: number) {
  const until = Date.now() + milliseconds;
  for (;;) {
    const next = await runInDurableObject(account, (_, { storage }) => storage.getAlarm());
    if (next === null || next > until) break;
    vi.setSystemTime(Math.max(next, Date.now()));
    await runDurableObjectAlarm(account);
  }
  vi.setSystemTime(until);
}

const orderWith = (id: string, references: UploadedReference[], mode: "sync" | "async" = "sync") => {
  const used = references.map(({ id, key, contentType, bytes, sha256 }) => ({
    id,
    key,
    contentType,
    bytes,
    sha256,
  }));
  return aCommand(id, mode, aRequest({ references: used }), 8);
};

describe("a reference that was uploaded ahead", () => {
  it("can be taken for 24 hours to the millisecond; then its object goes", async () => {
    const { account, reference } = await kept();
    await pass(account, REFERENCE_KEEP_MS - 1);
    expect(await account.references([reference.id], true)).toEqual([reference]);
    expect(await objectOf(reference)).toBe(true);
    await pass(account, 1);
    expect(await account.references([reference.id], true)).toEqual([null]);
    expect(await objectOf(reference)).toBe(false);
  });

  it("belongs to its user and mode", async () => {
    const { account, reference } = await kept();
    const other = await newAccount();
    expect(await other.account.references([reference.id], true)).toEqual([null]);
    expect(await other.account.deleteReference(reference.id, true)).toBe(false);
    expect(await account.references([reference.id], false)).toEqual([null]);
    expect(await account.deleteReference(reference.id, false)).toBe(false);
    expect(await objectOf(reference)).toBe(true);
  });

  it("is noted once, however often it is said", async () => {
    const { account, reference } = await kept();
    await account.keepReference({ ...reference, expiresAt: 1 });
    expect(await account.references([reference.id], true)).toEqual([reference]);
  });

  it("is deleted at once, and only once", async () => {
    const { account, reference } = await kept();
    expect(await account.deleteReference(reference.id, true)).toBe(true);
    expect([await objectOf(reference), await account.references([reference.id], true)]).toEqual([
      false,
      [null],
    ]);
    expect(await account.deleteReference(reference.id, true)).toBe(false);
  });

  it("serves many generations, none of which removes it", async () => {
    const { account, reference } = await kept();
    for (const id of ["gen_1", "gen_2"]) {
      expect(await account.submit(orderWith(id, [reference]))).toMatchObject({ kind: "accepted" });
      await account.finish(id, 1, { images: imagesOf(id, 1), failure: null });
    }
    expect(await objectOf(reference)).toBe(true);
  });

  it.each(["deleted", "expired"])(
    "stays in storage, once %s, for as long as a generation uses it",
    async (how) => {
      const { account, reference } = await kept();
      if (how === "expired") await pass(account, REFERENCE_KEEP_MS - 1_000);
      await account.submit(orderWith("gen_1", [reference], "async"));
      await account.begin("gen_1");
      if (how === "deleted") await account.deleteReference(reference.id, true);
      for (let minute = 0; minute < 2; minute++) {
        await account.renew("gen_1", 1, 0);
        await pass(account, MINUTE);
      }
      expect([await objectOf(reference), await account.references([reference.id], true)]).toEqual([
        true,
        [null],
      ]);
      expect(await account.submit(orderWith("gen_2", [reference]))).toEqual({
        kind: "reference_gone",
        id: reference.id,
      });
      await account.finish("gen_1", 1, { images: imagesOf("gen_1", 1), failure: null });
      await pass(account, MINUTE);
      expect(await objectOf(reference)).toBe(false);
    },
  );

  it("is not held by a prompt that quotes it", async () => {
    const { account, reference } = await kept();
    const prompt = `{"id":"${reference.id}"}`;
    await account.submit(aCommand("gen_1", "async", aRequest({ prompt }), 8));
    await account.deleteReference(reference.id, true);
    expect(await objectOf(reference)).toBe(false);
  });

  it("is removed later when storage fails", async () => {
    const { account, reference } = await kept();
    const remove = vi.spyOn(R2, "delete").mockRejectedValue(new Error("storage is down"));
    expect(await account.deleteReference(reference.id, true)).toBe(true);
    expect(await account.references([reference.id], true)).toEqual([null]);
    expect(await objectOf(reference)).toBe(true);
    remove.mockRestore();
    await pass(account, MINUTE);
    expect(await objectOf(reference)).toBe(false);
    // Nothing is left to do.
    const calls = vi.spyOn(R2, "delete");
    await pass(account, 10 * MINUTE);
    expect(calls).not.toHaveBeenCalled();
  });

  it("that was deleted in the moment before the charge is not charged for", async () => {
    const { account, reference } = await kept();
    await account.deleteReference(reference.id, true);
    const outcome = await account.submit(orderWith("gen_1", [reference]));
    expect([outcome, (await account.balance()).credits]).toEqual([
      { kind: "reference_gone", id: reference.id },
      100,
    ]);
  });

  it("does not stand in the way of a repeat", async () => {
    const { account, reference } = await kept();
    const order = { ...orderWith("gen_1", [reference]), idempotency: { key: "k", fingerprint: "f" } };
    await account.submit(order);
    await account.deleteReference(reference.id, true);
    expect(await account.repeated({ ...order, id: "gen_2" })).toMatchObject({ kind: "repeated" });
    expect(await account.submit({ ...order, id: "gen_2" })).toMatchObject({ kind: "repeated" });
    const other = { ...order, id: "gen_3", idempotency: { key: "k", fingerprint: "other" } };
    expect(await account.repeated(other)).toEqual({ kind: "conflict" });
    expect(await account.repeated({ ...order, id: "gen_4", idempotency: null })).toBeNull();
  });
});

describe("the references of a user", () => {
  it(`are at most ${UPLOADED_REFERENCES_MAX}`, async () => {
    const { userId, account } = await newAccount();
    const reference = await uploaded(userId);
    for (let at = 1; at < UPLOADED_REFERENCES_MAX; at++) {
      await account.keepReference({ ...reference, id: `ref_${at}` });
    }
    expect(await account.admitReference("upload_1", 8, 0)).toEqual({ kind: "admitted" });
    expect(await account.keepReference(reference)).toBe("kept");
    expect(await account.keepReference({ ...reference, id: "ref_more" })).toBe("full");
    expect(await account.admitReference("upload_2", 8, 0)).toEqual({ kind: "references_full" });
    await account.deleteReference(reference.id, true);
    expect(await account.keepReference({ ...reference, id: "ref_more" })).toBe("kept");
  });

  it(`have at most ${UPLOADED_BYTES_MAX} bytes together`, async () => {
    const { userId, account } = await newAccount();
    const reference = await uploaded(userId, { bytes: UPLOADED_BYTES_MAX - 10 });
    expect(await account.keepReference(reference)).toBe("kept");
    expect(await account.admitReference("upload_1", 8, 11)).toEqual({ kind: "references_full" });
    expect(await account.admitReference("upload_1", 8, 10)).toEqual({ kind: "admitted" });
    expect(await account.keepReference({ ...reference, id: "ref_11", bytes: 11 })).toBe("full");
    expect(await account.keepReference({ ...reference, id: "ref_10", bytes: 10 })).toBe("kept");
    expect(await account.keepReference({ ...reference, id: "ref_1", bytes: 1 })).toBe("full");
  });

  it("need the credits for a generation, and cost none", async () => {
    const { account } = await newAccount(8);
    expect(await account.admitReference("upload_1", 9, 0)).toEqual({ kind: "insufficient", available: 8 });
    expect(await account.admitReference("upload_1", 8, 0)).toEqual({ kind: "admitted" });
    // Neither do they take the credits or the place of a generation.
    const upload = { id: "upload_2", bytes: null, call: null };
    expect(await account.admit(8, null, 0, upload)).toEqual({ kind: "admitted" });
  });

  it(`are uploaded ${OPEN_UPLOADS_MAX} at a time and ${WASTED_UPLOADS_MAX} a minute`, async () => {
    const { account } = await newAccount();
    for (let at = 0; at < OPEN_UPLOADS_MAX; at++) {
      expect(await account.admitReference(`upload_${at}`, 8, 0)).toEqual({ kind: "admitted" });
    }
    expect(await account.admitReference("upload_more", 8, 0)).toMatchObject({ kind: "uploads_limited" });
    for (let at = 0; at < OPEN_UPLOADS_MAX; at++) await account.uploadEnded(`upload_${at}`);
    for (let at = OPEN_UPLOADS_MAX; at < WASTED_UPLOADS_MAX; at++) {
      expect(await account.admitReference(`upload_${at}`, 8, 0)).toEqual({ kind: "admitted" });
      await account.uploadEnded(`upload_${at}`);
    }
    expect(await account.admitReference("upload_more", 8, 0)).toEqual({
      kind: "uploads_limited",
      retryAfterSeconds: 60,
    });
    vi.setSystemTime(Date.now() + MINUTE);
    expect(await account.admitReference("upload_more", 8, 0)).toEqual({ kind: "admitted" });
  });
});
