import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { betterAuth } from "better-auth/minimal";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import type { Config } from "../config.ts";
import { accounts, sessions, users, verifications } from "../db/schema.ts";
import { newId } from "../id.ts";
import { describe, log } from "../log.ts";
import { isLoopback } from "../origin.ts";
import { grantDueCredits } from "../users/signup-credits.ts";
import { chooseMailer, type Mail, sendsRealMail } from "./mailer.ts";
import {
  CALLBACK_BASE_PATH,
  PASSWORD_LENGTH_MAX,
  PASSWORD_LENGTH_MIN,
  RESET_PATH,
  socialProviders,
  VERIFY_PATH,
} from "./settings.ts";

const SECRET_LENGTH_MIN = 32;
const DAY_SECONDS = 86_400;
const SESSION_SECONDS = 30 * DAY_SECONDS;
const LINK_SECONDS = 3_600;

export type AuthSettings = {
  env: Env;
  config: Config;
  /** The site's own, as people type it: mails and other sites link back to it. */
  origin: string;
  /** Lets work go on after the answer. */
  later: (work: Promise<unknown>) => void;
};

export type Auth = NonNullable<ReturnType<typeof createAuth>>;

/**
 * The sign-in library with our tables and rules, or null when no AUTH_SECRET of 32 characters is configured. Only its
 * functions are used. Of its HTTP routes, only the callback of other sites is mounted: each page has its own checks and
 * limits.
 */
export function createAuth({ env, config, origin, later }: AuthSettings) {
  if (config.AUTH_SECRET === undefined || config.AUTH_SECRET.length < SECRET_LENGTH_MIN) return null;
  const db = drizzle(env.DB);
  const mailer = chooseMailer(config, origin);
  const send = async (mail: Mail) => {
    try {
      if (!mailer) throw new Error("no mail API is configured");
      await mailer(mail);
    } catch (error) {
      log("mail_failed", { error: describe(error) });
    }
  };
  return betterAuth({
    baseURL: origin,
    basePath: CALLBACK_BASE_PATH,
    secret: config.AUTH_SECRET,
    trustedOrigins: [origin],
    database: drizzleAdapter(db, {
      provider: "sqlite",
      schema: { user: users, session: sessions, account: accounts, verification: verifications },
    }),
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      requireEmailVerification: sendsRealMail(config),
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: LINK_SECONDS,
      sendResetPassword: ({ user, token }) => send(resetMail(user.email, `${origin}${RESET_PATH}`, token)),
      // Whoever holds the link reads the mailbox.
      onPasswordReset: async ({ user }) => {
        await db.update(users).set({ emailVerified: true }).where(eq(users.id, user.id));
      },
      onExistingUserSignUp: ({ user }) => send(knownMail(user.email, origin)),
    },
    emailVerification: {
      sendOnSignUp: mailer !== null,
      sendOnSignIn: true,
      autoSignInAfterVerification: true,
      expiresIn: LINK_SECONDS,
      sendVerificationEmail: ({ user, token }) =>
        send(verificationMail(user.email, `${origin}${VERIFY_PATH}`, token)),
    },
    socialProviders: socialProviders(config),
    account: { encryptOAuthTokens: true },
    onAPIError: { errorURL: `${origin}/sign-in` },
    user: {
      additionalFields: {
        accountType: { type: "string", required: false, input: false },
        signupGrantDue: { type: "boolean", required: false, input: false, defaultValue: true },
      },
    },
    databaseHooks: {
      session: {
        create: {
          // Addresses cost nothing to make up, so only a verified one gets credits; in development any does.
          after: ({ userId }) => grantDueCredits(env, userId, isLoopback(origin), config.SIGNUP_CREDITS),
        },
      },
    },
    session: { expiresIn: SESSION_SECONDS, updateAge: DAY_SECONDS, freshAge: 0 },
    advanced: {
      cookiePrefix: "gih",
      useSecureCookies: origin.startsWith("https:"),
      database: {
        generateId: ({ model }) => (model === "user" ? newId("user") : crypto.randomUUID()),
      },
      // The answer must not tell by its delay whether a mail was sent.
      backgroundTasks: { handler: later },
      ipAddress: { ipAddressHeaders: ["cf-connecting-ip"] },
    },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: {
      level: "error",
      log: (_, message) => log("sign_in_library", { message: message.slice(0, 500) }),
    },
  });
}

function resetMail(to: string, page: string, token: string): Mail {
  return {
    to,
    subject: "Choose a new password",
    text: `Choose a new password for GPT Image Hub here, within an hour:\n\n${page}?token=${token}\n\nIf you did not ask for this, nothing needs to be done.`,
  };
}

function verificationMail(to: string, page: string, token: string): Mail {
  return {
    to,
    subject: "Confirm your e-mail address",
    text: `Confirm your e-mail address for GPT Image Hub here, within an hour:\n\n${page}?token=${token}\n\nIf you did not sign up, nothing needs to be done.`,
  };
}

function knownMail(to: string, origin: string): Mail {
  return {
    to,
    subject: "You have an account already",
    text: `Somebody, probably you, tried to sign up for GPT Image Hub with this address. It has an account already: sign in, or choose a new password.\n\n${origin}/sign-in`,
  };
}
