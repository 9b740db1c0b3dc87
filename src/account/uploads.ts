/**
 * The limits on one user's uploads of references, over plain data: no clock, no storage. An upload is admitted before
 * its body is read, so it has no generation yet, and may never have one. While it runs, it counts like a generation
 * that was just accepted; if it leads to no generation, it counts for one more minute.
 */
import { WINDOW_MS } from "./limits.ts";

/** An upload whose end was not reported is forgotten after this time: a form may take no longer. */
export const UPLOAD_MS_MAX = 16 * 60_000;
/** Concurrent uploads of one user, if no lower limit is set. */
export const OPEN_UPLOADS_MAX = 16;
/** Uploads of one user within a minute that no generation paid for: refused, repeated, given up, or made ahead. */
export const WASTED_UPLOADS_MAX = 60;
/** The `Retry-After` while uploads run: nobody knows when one will end. */
const RETRY_SECONDS = 5;

type OpenUpload = {
  id: string;
  openedAt: number;
  /** Whether it brings a reference ahead of any generation. */
  isAhead: boolean;
};

export type Uploads = {
  open: readonly OpenUpload[];
  /** When each of the latest uploads that no generation paid for ended; at most {@link WASTED_UPLOADS_MAX}. */
  wasted: readonly number[];
};

export const NO_UPLOADS: Uploads = { open: [], wasted: [] };

/** Seconds to wait before another upload may begin; null when it may begin now. */
export function uploadWaitSeconds(uploads: Uploads, now: number): number | null {
  const { open, wasted } = currentUploads(uploads, now);
  const oldest = wasted[0];
  if (oldest !== undefined && wasted.length >= WASTED_UPLOADS_MAX) {
    return Math.ceil((oldest + WINDOW_MS - now) / 1000);
  }
  return open.length >= OPEN_UPLOADS_MAX ? RETRY_SECONDS : null;
}

/** Leaves out uploads that no longer count. */
export function currentUploads({ open, wasted }: Uploads, now: number): Uploads {
  return {
    open: open.filter(({ openedAt }) => now < openedAt + UPLOAD_MS_MAX),
    wasted: wasted.filter((time) => now < time + WINDOW_MS),
  };
}

export function openUpload(uploads: Uploads, id: string, now: number, isAhead = false): Uploads {
  const { open, wasted } = currentUploads(uploads, now);
  return { open: [...open, { id, openedAt: now, isAhead }], wasted };
}

/** @param used whether a generation was accepted with it; an upload that is not open changes nothing */
export function closeUpload(uploads: Uploads, id: string, used: boolean, now: number): Uploads {
  const { open, wasted } = currentUploads(uploads, now);
  const rest = open.filter((upload) => upload.id !== id);
  const found = rest.length < open.length;
  return { open: rest, wasted: found && !used ? [...wasted, now].slice(-WASTED_UPLOADS_MAX) : wasted };
}
