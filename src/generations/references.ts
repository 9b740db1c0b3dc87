import type { GenerationRequest } from "../account/lifecycle.ts";
import type { Config } from "../config.ts";
import { newId } from "../id.ts";
import { referenceKey } from "../images/references.ts";
import { describe, log } from "../log.ts";
import { mayCallInsecureUrls } from "../origin.ts";
import type { EntryFault, ReferenceEntry, ReferenceNames } from "../references/entries.ts";
import { fetchReference } from "../references/fetch.ts";
import type { StoredReference } from "../references/store.ts";
import type { TestScenario } from "../scenario.ts";
import type { SdkHeaders } from "./fingerprint.ts";
import type { InvalidField, PayingKey } from "./request.ts";
import { admitUpload, type UploadRefusal } from "./uploads.ts";

type References = GenerationRequest["references"];

/** The references that a request has stored so far, and the upload that its account admitted, or null. */
export type RequestUpload = { id: string | null; stored: StoredReference[] };

export type Gathered = { kind: "gathered"; references: References } | InvalidField | UploadRefusal;

type Gathering = {
  userId: string;
  references: readonly ReferenceEntry[];
  names: ReferenceNames;
  idempotencyKey: string | null;
  sdk: SdkHeaders | null;
  test: TestScenario | null;
  /** The key that will pay, or null for the pages. */
  key: PayingKey | null;
  /** The price of the generation. */
  credits: number;
};

/** URLs of one request that are fetched at a time: each holds a part of its image in memory. */
const FETCHES_AT_ONCE = 2;

/** Whether references have yet to be found or fetched. */
export function areOutside(entries: readonly ReferenceEntry[]): boolean {
  return entries.some(({ kind }) => kind !== "stored");
}

/**
 * Looks up references that were uploaded ahead, and fetches those that are URLs, before anything is charged.
 * @param upload collects the stored references, also when one turns out to be unusable: the caller then gives it up
 * @throws {StorageError} when R2 fails
 */
export async function gatherReferences(
  gathering: Gathering,
  upload: RequestUpload,
  env: Env,
  config: Config,
): Promise<Gathered> {
  const { userId, references: entries, names, idempotencyKey, sdk, test, key, credits } = gathering;
  const livemode = test === null;
  const found = await findUploaded(userId, entries, livemode, env);
  if (found.kind !== "found") return asInvalid(found, names);
  if (upload.id === null && entries.some(({ kind }) => kind === "url")) {
    const id = newId("upload");
    const request = { id, bodyBytes: null, idempotencyKey, sdk, livemode, key, credits };
    const admission = await admitUpload(userId, request, env, config);
    if (admission.kind !== "admitted") return admission;
    upload.id = id;
  }
  const fetched = await fetchAll(entries, upload, env, mayCallInsecureUrls(config));
  if (fetched.kind !== "fetched") return asInvalid(fetched, names);
  const references = entries.flatMap((entry, index): References => {
    const reference =
      entry.kind === "stored"
        ? entry.reference
        : (found.references.get(index) ?? fetched.references.get(index));
    return reference ? [reference] : [];
  });
  return { kind: "gathered", references };
}

function asInvalid(outcome: EntryFault | { kind: "unavailable" }, names: ReferenceNames) {
  return outcome.kind === "fault" ? invalidReference(outcome, names) : outcome;
}

/** The message for a reference that cannot be used. */
export function invalidReference({ index, reason }: EntryFault, names: ReferenceNames): InvalidField {
  return { kind: "invalid", param: names.param(index), message: `${names.label(index)} ${reason}.` };
}

type Found = { kind: "found"; references: Map<number, References[number]> };

/**
 * Why a reference that was uploaded ahead cannot be used. One of another user or mode gets the answer of an unknown
 * one.
 */
export const GONE = "names no uploaded reference: it never existed, was deleted, or is older than 24 hours";

/** The references that were uploaded ahead, by their places among the entries. */
async function findUploaded(
  userId: string,
  entries: readonly ReferenceEntry[],
  livemode: boolean,
  env: Env,
): Promise<Found | EntryFault | { kind: "unavailable" }> {
  const places = entries.flatMap((entry, index) =>
    entry.kind === "uploaded" ? [{ index, id: entry.id }] : [],
  );
  const references: Found["references"] = new Map();
  if (places.length === 0) return { kind: "found", references };
  try {
    const account = env.ACCOUNT.getByName(userId);
    const kept = await account.references(
      places.map(({ id }) => id),
      livemode,
    );
    for (const [at, { index, id }] of places.entries()) {
      const reference = kept[at];
      if (!reference) return { kind: "fault", index, reason: GONE };
      const { key, contentType, bytes, sha256 } = reference;
      references.set(index, { key, contentType, bytes, sha256, id });
    }
    return { kind: "found", references };
  } catch (error) {
    log("references_lookup_failed", { user_id: userId, error: describe(error) });
    return { kind: "unavailable" };
  }
}

type Fetched = { kind: "fetched"; references: Map<number, StoredReference> };

/** Fetches the URLs, some at a time. The first that cannot be used ends the fetching. */
async function fetchAll(
  entries: readonly ReferenceEntry[],
  upload: RequestUpload,
  env: Env,
  allowInsecure: boolean,
): Promise<Fetched | EntryFault> {
  const left = entries.flatMap((entry, index) => (entry.kind === "url" ? [{ index, url: entry.url }] : []));
  const references: Fetched["references"] = new Map();
  const faults: EntryFault[] = [];
  const uploadId = upload.id;
  if (left.length === 0 || uploadId === null) return { kind: "fetched", references };
  const fetchInTurn = async () => {
    for (let next = left.shift(); next !== undefined && faults.length === 0; next = left.shift()) {
      const { index, url } = next;
      const key = referenceKey(uploadId, index + 1);
      const outcome = await fetchReference(env.REFERENCES, key, url, allowInsecure);
      if (outcome.kind === "refused") {
        faults.push({ kind: "fault", index, reason: outcome.reason });
      } else {
        upload.stored.push(outcome.reference);
        references.set(index, outcome.reference);
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: FETCHES_AT_ONCE }, fetchInTurn));
  const [fault] = faults.toSorted((a, b) => a.index - b.index);
  if (fault) return fault;
  const failed = workers.find((worker) => worker.status === "rejected");
  if (failed) throw failed.reason;
  return { kind: "fetched", references };
}
