import * as z from "zod";
import { CURSOR_DESCRIPTION } from "../fields.ts";

/** A position in a walk over all users: a user, and the user's last generation of the page before, or "". */
export type LogPlace = { userId: string; generationId: string };

/** `cursor` is the `next_cursor` of the page before. Without one, the walk begins: null. */
export const logCursor = z
  .string()
  .regex(/^user_[0-9A-Z]{26}(:gen_[0-9A-Z]{26})?$/, {
    message: "cursor must be the next_cursor of an earlier answer.",
  })
  .transform((text): LogPlace => {
    const [userId = "", generationId = ""] = text.split(":");
    return { userId, generationId };
  })
  .optional()
  .transform((place) => place ?? null)
  .meta({ description: CURSOR_DESCRIPTION });

/** The `next_cursor` of a page. */
export function renderLogCursor(next: LogPlace | null): string | null {
  return next && [next.userId, next.generationId].filter((part) => part !== "").join(":");
}
