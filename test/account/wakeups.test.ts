import { expect, it } from "vitest";
import { KEEP_MS } from "../../src/account/lifecycle.ts";
import { EXPORT_AGAIN_MS, nextWakeUp, type Pending } from "../../src/account/wakeups.ts";

const NOW = 1_000_000;
const NOTHING: Pending = {
  nextDue: null,
  nextExpiry: null,
  nextRemoval: null,
  oldestEnd: null,
  nextWebhook: null,
  nextNotice: null,
  nextDeletion: null,
  hasUnloggedEntries: false,
};

it.each<[string, Partial<Pending>, number | null]>([
  ["nothing", {}, null],
  ["a due generation", { nextDue: 5 }, 5],
  ["credits that expire", { nextExpiry: 7 }, 7],
  ["an uploaded reference to remove", { nextRemoval: 6 }, 6],
  ["a deletion with something left", { nextDeletion: 8 }, 8],
  ["a webhook", { nextWebhook: 6 }, 6],
  ["a mail about credits", { nextNotice: 4 }, 4],
  ["an old generation to delete", { oldestEnd: 9 }, 9 + KEEP_MS],
  ["entries to export", { hasUnloggedEntries: true }, NOW + EXPORT_AGAIN_MS],
  ["the earliest of several", { nextDue: 8, nextExpiry: 3, hasUnloggedEntries: true }, 3],
])("wakes for %s", (_, pending, expected) => {
  expect(nextWakeUp({ ...NOTHING, ...pending }, NOW)).toBe(expected);
});
