import { isReferenceId } from "../id.ts";
import { checkUrl } from "./addresses.ts";
import type { StoredReference } from "./store.ts";

/** A reference as a caller sends it: content in the request, the id of one uploaded ahead, or a URL. */
export type ReferenceEntry =
  | { kind: "stored"; reference: StoredReference }
  | { kind: "uploaded"; id: string }
  | { kind: "url"; url: string };

/** How error messages of a request name its references: a form, JSON and OpenAI's API differ. Indexes are from 0. */
export type ReferenceNames = {
  /** The field that holds them all. */
  field: string;
  param: (index: number) => string;
  label: (index: number) => string;
};

/** References that come as files of a form. */
export const FORM_NAMES: ReferenceNames = {
  field: "reference_image",
  param: () => "reference_image",
  label: (index) => `reference_image ${index + 1}`,
};

/** References that are listed in JSON. */
export const JSON_NAMES: ReferenceNames = {
  field: "reference_images",
  param: (index) => `reference_images[${index}]`,
  label: (index) => `reference_images[${index}]`,
};

/** The same in OpenAI's dialect. */
export const OPENAI_NAMES: ReferenceNames = {
  field: "images",
  param: () => "images",
  label: (index) => `image ${index + 1}`,
};

/** OpenAI's API in a form. */
export const OPENAI_FORM_NAMES: ReferenceNames = {
  field: "image",
  param: () => "image",
  label: (index) => `image ${index + 1}`,
};

/** A reference that cannot be used: `reason` follows the name of the reference. */
export type EntryFault = { kind: "fault"; index: number; reason: string };

export type ReadEntries = { kind: "entries"; entries: ReferenceEntry[] } | EntryFault;

/** The placeholder in the list for the data URL at that position among the data URLs of the body, from 1. */
export function placeholderOf(position: number): string {
  return `data:,${position}`;
}

/**
 * The entries of a list from a JSON body whose data URLs were stored as they came, and left placeholders.
 * @param stored the images of the body, in order: each must be in the list, so that none is charged for unseen
 */
export function readEntries(
  list: readonly unknown[],
  stored: readonly StoredReference[],
  allowInsecure: boolean,
): ReadEntries {
  const entries: ReferenceEntry[] = [];
  let used = 0;
  for (const [index, item] of list.entries()) {
    const next = stored[used];
    if (next !== undefined && item === placeholderOf(used + 1)) {
      entries.push({ kind: "stored", reference: next });
      used += 1;
      continue;
    }
    const entry = readEntry(item, allowInsecure);
    if (typeof entry === "string") return { kind: "fault", index, reason: entry };
    entries.push(entry);
  }
  if (used === stored.length) return { kind: "entries", entries };
  return { kind: "fault", index: list.length, reason: "is a data URL outside of the list" };
}

/** The entry, or why it is not valid. */
function readEntry(item: unknown, allowInsecure: boolean): ReferenceEntry | string {
  if (typeof item === "string" && /^https?:/i.test(item)) {
    const check = checkUrl(item, allowInsecure);
    return check.kind === "allowed" ? { kind: "url", url: item } : check.reason;
  }
  if (typeof item === "string" && isReferenceId(item)) return { kind: "uploaded", id: item };
  return "must be the id of an uploaded reference (ref_…), an https URL, or a data URL of a PNG, JPEG or WebP in base64";
}

/**
 * Identifies a reference in a repeated request: by its content where that came with the request, otherwise by
 * the entry as it was sent, so that a repeated request fetches nothing again.
 */
export function sourceOf(entry: ReferenceEntry): string {
  switch (entry.kind) {
    case "stored":
      return entry.reference.sha256;
    case "uploaded":
      return entry.id;
    case "url":
      return entry.url;
  }
}
