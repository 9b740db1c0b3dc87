import type { Config } from "../config.ts";
import type { Mail } from "../mailer.ts";

/**
 * Settings of sign-in that pages need before they open a session. This file does not import the sign-in library, which
 * is loaded on first use.
 */

export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 128;
export const EMAIL_LENGTH_MAX = 254;
/** The pages that links in mails open, with `?token=`. */
export const RESET_PATH = "/reset-password";
export const VERIFY_PATH = "/verify-email";
export const EMAIL_CHANGE_PATH = "/change-email";
/** OAuth providers redirect to `/callback/<provider>` under this path. */
export const CALLBACK_BASE_PATH = "/sign-in/with";

/** What a mail says, without its recipient. */
type MailText = Omit<Mail, "to">;

/** The mails to a user, in the language of the request. */
type Mails = Record<
  "reset" | "verify" | "known" | "newEmail" | "passkeyAdded",
  (link: string) => MailText
> & {
  /** A notice to the current address. */
  emailChange: (newEmail: string, settingsLink: string) => MailText;
  /** To the owner of an address that somebody else tried to change to. */
  emailTaken: () => MailText;
};

export type AuthSettings = {
  env: Env;
  config: Config;
  /** Scheme and host of the site. Mails and OAuth callbacks link to it. */
  origin: string;
  mails: Mails;
  /** Continues work after the response. */
  waitUntil: (work: Promise<unknown>) => void;
};

export type SocialProvider = "github" | "google";

/** The OAuth providers whose id and secret are configured. */
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
