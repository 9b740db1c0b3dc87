import type { creditEntries, generations, LoggedRequest } from "../db/log-schema.ts";
import type { StoredImage } from "../images/stored.ts";
import type { FailureCode, Generation, GenerationStatus, Metadata } from "./lifecycle.ts";
import type { Entry } from "./store/ledger.ts";

/** A generation as clients may see it, read from the Account or from the log. */
export type GenerationRecord = {
  id: string;
  status: GenerationStatus;
  model: string;
  aspectRatio: string;
  /** The resolution that was priced. */
  tier: string;
  createdAt: number;
  endedAt: number | null;
  creditsCharged: number;
  creditsRefunded: number;
  /** Of a test key: the price that was not charged. A live generation has no such member. */
  test?: { credits: number };
  /** The caller's own labels; left out when there are none. */
  metadata?: Metadata;
  error: FailureCode | null;
  /** The estimated time of a queued generation's turn; null when unknown. Only the account knows it. */
  slotAt?: number | null;
  /** Whether the same request would fail again. The account knows it for a day; the log does not keep it. */
  permanent?: boolean;
  images: readonly StoredImage[];
  origin: string;
};

/** The record and its request. */
export type GenerationDetail = GenerationRecord & { request: LoggedRequest };

/** The generation that an entry of the ledger is for. */
export type Subject = {
  id: string;
  model: string;
  /** Its first {@link SUBJECT_PROMPT_MAX} code points. */
  prompt: string;
  /** Empty for the pages; null when a release that did not keep it wrote the row. */
  keyId: string | null;
};

export const SUBJECT_PROMPT_MAX = 100;

/** How much of a prompt the log keeps, in code points. */
export const LOGGED_PROMPT_MAX = 2_000;

export function recordOf(generation: Generation): GenerationRecord {
  const { request } = generation;
  return {
    id: generation.id,
    status: generation.status,
    model: request.model,
    aspectRatio: request.aspectRatio,
    tier: request.tier,
    createdAt: generation.createdAt,
    endedAt: generation.endedAt,
    creditsCharged: generation.charged,
    creditsRefunded: generation.refunded,
    ...testOf(request),
    ...metadataOf(request),
    error: generation.error,
    ...(generation.status === "queued" ? { slotAt: generation.slotAt } : {}),
    ...(generation.permanent ? { permanent: true } : {}),
    images: generation.images,
    origin: request.origin,
  };
}

function testOf({ test }: { test?: { credits: number } }): Pick<GenerationRecord, "test"> {
  return test === undefined ? {} : { test: { credits: test.credits } };
}

function metadataOf({ metadata }: { metadata?: Metadata }): Pick<GenerationRecord, "metadata"> {
  return metadata === undefined ? {} : { metadata };
}

/** The record of a row in the log. */
export function recordOfRow(row: typeof generations.$inferSelect): GenerationRecord {
  return {
    id: row.id,
    status: row.status,
    model: row.model,
    aspectRatio: row.request.aspectRatio,
    tier: row.request.tier,
    createdAt: row.createdAt,
    endedAt: row.endedAt,
    creditsCharged: row.creditsCharged,
    creditsRefunded: row.creditsRefunded,
    ...testOf(row.request),
    ...metadataOf(row.request),
    error: row.error,
    images: row.images,
    origin: row.request.origin,
  };
}

/** The log's row for a generation, or null while it has not ended. */
export function rowOf(userId: string, generation: Generation): typeof generations.$inferInsert | null {
  const { request, status, endedAt } = generation;
  if (endedAt === null || status === "queued" || status === "processing") return null;
  return {
    userId,
    id: generation.id,
    status,
    model: request.model,
    createdAt: generation.createdAt,
    endedAt,
    creditsCharged: generation.charged,
    creditsRefunded: generation.refunded,
    error: generation.error,
    images: generation.images,
    request: loggedRequestOf(generation),
    deletedAt: generation.deletedAt,
  };
}

export function detailOf(generation: Generation): GenerationDetail {
  return { ...recordOf(generation), request: loggedRequestOf(generation) };
}

export function detailOfRow(row: typeof generations.$inferSelect): GenerationDetail {
  return { ...recordOfRow(row), request: row.request };
}

function loggedRequestOf({ request, keyId }: Generation): LoggedRequest {
  return {
    prompt: [...request.prompt].slice(0, LOGGED_PROMPT_MAX).join(""),
    aspectRatio: request.aspectRatio,
    tier: request.tier,
    size: request.size,
    renderQuality: request.renderQuality,
    n: request.n,
    outputFormat: request.outputFormat,
    references: request.references.length,
    origin: request.origin,
    ...metadataOf(request),
    ...testOf(request),
    keyId: keyId ?? "",
  };
}

export function entryRowOf(userId: string, entry: Entry): typeof creditEntries.$inferInsert {
  return { userId, ...entry };
}
