import type { StoredImage } from "../../images/stored.ts";
import type { Paid } from "../ledger.ts";
import type { GenerationRequest } from "../lifecycle.ts";

/**
 * What a JSON column lacks when an older release wrote the row. The types ask for a default for each member that the
 * first release did not write, unless the member is optional.
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
const PAID_DEFAULTS: Omit<Paid[number], "grantId" | "credits"> = {};

/** The JSON columns of a generation, as this release needs them. Members that it does not know stay. */
export function readJsonColumns(row: { request: string; images: string; paid: string }): {
  request: GenerationRequest;
  images: StoredImage[];
  paid: Paid;
} {
  return {
    request: { ...REQUEST_DEFAULTS, ...JSON.parse(row.request) },
    images: readList(row.images, IMAGE_DEFAULTS),
    paid: readList(row.paid, PAID_DEFAULTS),
  };
}

function readList<T extends object>(json: string, defaults: Partial<T>): T[] {
  const items: T[] = JSON.parse(json);
  return items.map((item) => ({ ...defaults, ...item }));
}
