import type { Config } from "../config.ts";

/**
 * What pages must know of signing in before they open a session: kept apart from the sign-in library, which is loaded
 * only when it is needed.
 */

export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;
export const EMAIL_LENGTH_MAX = 254;
/** Pages of ours, which the links in mails lead to: each with `?token=`. */
export const RESET_PATH = "/reset-password";
export const VERIFY_PATH = "/verify-email";
/** Where the sites that people sign in with send them back to: `/callback/<site>` under it. */
export const CALLBACK_BASE_PATH = "/sign-in/with";

export type SocialProvider = "github" | "google";

/** The sites to sign in with whose secrets are configured. */
export function socialProviders(
  config: Config,
): Partial<Record<SocialProvider, { clientId: string; clientSecret: string }>> {
  const { GITHUB_CLIENT_ID, GITHUB_CLIENT_SECRET, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET } = config;
  return {
    ...(GITHUB_CLIENT_ID && GITHUB_CLIENT_SECRET
      ? { github: { clientId: GITHUB_CLIENT_ID, clientSecret: GITHUB_CLIENT_SECRET } }
      : {}),
    ...(GOOGLE_CLIENT_ID && GOOGLE_CLIENT_SECRET
      ? { google: { clientId: GOOGLE_CLIENT_ID, clientSecret: GOOGLE_CLIENT_SECRET } }
      : {}),
  };
}
