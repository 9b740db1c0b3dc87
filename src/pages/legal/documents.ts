/** What the texts say about this deployment. */
type Facts = {
  operator: string;
  email: string;
  /** After so many days, images and prompts are deleted; 0: only on request. */
  retentionDays: number;
  sellsCredits: boolean;
};

type Part = { id: string; name: string; text: readonly string[] };

type Document = { title: string; description: string; parts: (facts: Facts) => readonly Part[] };

/** The terms and the privacy notice in one language. */
export type Documents = { updated: string; terms: Document; privacy: Document };

/** When the texts last changed. */
export const UPDATED = "2026-12-01";

/** How long copies of deleted data stay in backups. `scripts/deploy.mjs` sets it. */
export const BACKUP_DAYS = 30;
