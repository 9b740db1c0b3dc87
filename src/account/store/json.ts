import type { StoredImage } from "../../images/stored.ts";
import type { Allocation } from "../ledger.ts";
import type { GenerationRequest, SavedTask } from "../lifecycle.ts";

/**
 * Defaults for members that a JSON column lacks because an older release wrote the row. The types require a default for
 * each member that the first release did not write, unless the member is optional.
 */
const REQUEST_DEFAULTS: Omit<
  GenerationRequest,
  "model" | "prompt" | "aspectRatio" | "tier" | "n" | "origin"
> = {
  size: "auto",
  renderQuality: "auto",
  outputFormat: "png",
  outputCompression: null,
  background: "auto",
  moderation: "auto",
  endUser: null,
  references: [],
};
const IMAGE_DEFAULTS: Omit<
  StoredImage,
  "id" | "key" | "contentType" | "width" | "height" | "bytes" | "createdAt"
> = {};
const ALLOCATION_DEFAULTS: Omit<Allocation, "grantId" | "credits"> = {};

/** Parses the JSON columns of a generation, with this release's defaults. Keeps members that it does not know. */
export function readJsonColumns(row: { request: string; images: string; paid: string }): {
  request: GenerationRequest;
  images: StoredImage[];
  allocations: Allocation[];
} {
  return {
    request: { ...REQUEST_DEFAULTS, ...JSON.parse(row.request) },
    images: readList(row.images, IMAGE_DEFAULTS),
    allocations: readList(row.paid, ALLOCATION_DEFAULTS),
  };
}

/** Parses the column of a saved task. */
export function readTask(json: string | null): SavedTask | null {
  return json === null ? null : JSON.parse(json);
}

function readList<T extends object>(json: string, defaults: Partial<T>): T[] {
  const items: T[] = JSON.parse(json);
  return items.map((item) => ({ ...defaults, ...item }));
}
