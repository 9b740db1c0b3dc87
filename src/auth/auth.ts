import { drizzleAdapter } from "better-auth/adapters/drizzle";
import { betterAuth } from "better-auth/minimal";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, passkeys, sessions, users, verifications } from "../db/schema.ts";
import { newId } from "../id.ts";
import { log } from "../log.ts";
import { chooseMailer, type Mail, sendMail, sendsRealMail } from "../mailer.ts";
import { isLoopback } from "../origin.ts";
import { grantDueCredits } from "../users/signup-credits.ts";
import { cancelEmailChange } from "./email-change.ts";
import { passkeyPlugin } from "./passkey-plugin.ts";
import {
  type AuthSettings,
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

/** Where the library keeps what, by its own names. */
const TABLES = {
  user: users,
  session: sessions,
  account: accounts,
  verification: verifications,
  passkey: passkeys,
};

export type Auth = NonNullable<ReturnType<typeof createAuth>>;

/**
 * Configures the sign-in library with our tables and rules. Null when no AUTH_SECRET of 32 characters is set. The pages
 * call its functions, with their own checks and rate limits. Of its HTTP routes, only the OAuth callback is mounted.
 */
export function createAuth({ env, config, origin, mails, language, waitUntil }: AuthSettings) {
  if (config.AUTH_SECRET === undefined || config.AUTH_SECRET.length < SECRET_LENGTH_MIN) return null;
  const db = drizzle(env.DB);
  const mailer = chooseMailer(config, origin);
  const send = (to: string, mail: Omit<Mail, "to">) => sendMail(mailer, { to, ...mail });
  const link = (path: string, token: string) => `${origin}${path}?token=${token}`;
  return betterAuth({
    baseURL: origin,
    basePath: CALLBACK_BASE_PATH,
    secret: config.AUTH_SECRET,
    trustedOrigins: [origin],
    database: drizzleAdapter(db, {
      provider: "sqlite",
      schema: TABLES,
    }),
    emailAndPassword: {
      enabled: true,
      minPasswordLength: PASSWORD_LENGTH_MIN,
      maxPasswordLength: PASSWORD_LENGTH_MAX,
      requireEmailVerification: sendsRealMail(config),
      revokeSessionsOnPasswordReset: true,
      resetPasswordTokenExpiresIn: LINK_SECONDS,
      sendResetPassword: ({ user, token }) => send(user.email, mails.reset(link(RESET_PATH, token))),
      onPasswordReset: ({ user }) => afterPasswordReset(env.DB, user.id),
      onExistingUserSignUp: ({ user }) => send(user.email, mails.known(`${origin}/sign-in`)),
    },
    emailVerification: {
      sendOnSignUp: mailer !== null,
      sendOnSignIn: true,
      autoSignInAfterVerification: true,
      expiresIn: LINK_SECONDS,
      sendVerificationEmail: ({ user, token }) => send(user.email, mails.verify(link(VERIFY_PATH, token))),
    },
    socialProviders: socialProviders(config),
    plugins: [passkeyPlugin(env.DB, origin, sendsRealMail(config))],
    account: { encryptOAuthTokens: true },
    onAPIError: { errorURL: `${origin}/sign-in` },
    user: {
      additionalFields: {
        accountType: { type: "string", required: false, input: false },
        suspendedAt: { type: "number", required: false, input: false },
        signupGrantDue: { type: "boolean", required: false, input: false, defaultValue: true },
        language: { type: "string", required: false, input: false, defaultValue: language },
      },
    },
    databaseHooks: {
      session: {
        create: {
          // Fake addresses are free, so only a verified one gets credits. In development any address does.
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
      // The duration of the response must not reveal whether a mail was sent.
      backgroundTasks: { handler: waitUntil },
      ipAddress: { ipAddressHeaders: ["cf-connecting-ip"] },
    },
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    logger: LOGGER,
  });
}

/** A password was reset by a link, which proves that the user reads the mailbox. */
async function afterPasswordReset(d1: D1Database, userId: string): Promise<void> {
  await drizzle(d1).update(users).set({ emailVerified: true }).where(eq(users.id, userId));
  await cancelEmailChange(d1, userId);
}

const LOGGER = {
  level: "error",
  log: (_: string, message: string) => log("sign_in_library", { message: message.slice(0, 500) }),
} as const;
