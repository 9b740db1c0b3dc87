import { and, desc, eq, gt, ne } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, sessions } from "../db/schema.ts";
import { sleep } from "../time.ts";
import type { AccountType } from "../users/users.ts";
import { type Auth, createAuth } from "./auth.ts";
import { EMAIL_NOT_VERIFIED, ownerOf } from "./passkey-plugin.ts";
import { type PasskeyMade, type PasskeyUsed, removeExcessPasskey } from "./passkeys.ts";
import type { AuthSettings, SocialProvider } from "./settings.ts";

/** The user who is signed in. */
export type SignedIn = {
  userId: string;
  email: string;
  accountType: AccountType;
  /** The session's secret. Never shown. */
  token: string;
  /** When the session began, in milliseconds since 1970. */
  signedInAt: number;
  /** Whether a link in a mail or an OAuth provider has verified the address. */
  emailVerified: boolean;
  /** Whether an operator has suspended the user, who may then see no page of the account. */
  isSuspended: boolean;
};

export type SessionSummary = {
  id: string;
  /** Whether this request belongs to it. */
  isCurrent: boolean;
  createdAt: number;
  /** Exact to a day. */
  lastSeenAt: number;
  userAgent: string | null;
};

/** How many sessions the settings page lists. */
export const SESSIONS_LISTED = 50;

export type SignInOutcome = { kind: "signed_in" } | { kind: "wrong" } | { kind: "unverified" };
/** The minimum duration of a failed sign-in: several times that of hashing the password. */
export const WRONG_MS = 500;

/** `refused`: the response is no answer to the last options, or the device has a passkey of this account already. */
export type PasskeyOutcome = { kind: "added" } | { kind: "too_many" } | { kind: "refused" };

export type SignUpOutcome = { kind: "signed_in" } | { kind: "mailed" } | { kind: "taken" };

/**
 * Sign-in and sessions for one request. `cookies` collects the cookies that the response must set. Failures other than
 * the documented ones throw.
 */
export class Sessions {
  readonly #auth: Auth;
  readonly #headers: Headers;
  readonly #env: Env;
  readonly cookies: string[] = [];

  constructor(auth: Auth, request: Request, env: Env) {
    this.#auth = auth;
    this.#headers = request.headers;
    this.#env = env;
  }

  async current(): Promise<SignedIn | null> {
    const found = this.#take(
      await this.#auth.api.getSession({ headers: this.#headers, returnHeaders: true }),
    );
    if (!found) return null;
    const { session, user } = found;
    return {
      userId: user.id,
      email: user.email,
      accountType: user.accountType === "PRO" ? "PRO" : "FREE",
      token: session.token,
      signedInAt: session.createdAt.getTime(),
      emailVerified: user.emailVerified,
      isSuspended: typeof user.suspendedAt === "number",
    };
  }

  /**
   * An unknown address and a wrong password have the same outcome and take the same time: both hash the password, and a
   * minimum duration hides the difference of their queries.
   */
  async signIn(email: string, password: string): Promise<SignInOutcome> {
    const earliest = sleep(WRONG_MS);
    try {
      const body = { email, password };
      this.#take(await this.#auth.api.signInEmail({ body, headers: this.#headers, returnHeaders: true }));
      return { kind: "signed_in" };
    } catch (error) {
      const code = refusalCode(error);
      if (code === "INVALID_EMAIL_OR_PASSWORD" || code === "INVALID_EMAIL") {
        await earliest;
        return { kind: "wrong" };
      }
      if (code === EMAIL_NOT_VERIFIED) return { kind: "unverified" };
      throw error;
    }
  }

  /**
   * The options with which a browser creates a passkey for the signed-in user, as JSON. Valid once, for five minutes.
   */
  async beginPasskey(): Promise<string> {
    const options = this.#take(
      await this.#auth.api.generatePasskeyRegistrationOptions({
        headers: this.#headers,
        returnHeaders: true,
      }),
    );
    return JSON.stringify(options);
  }

  /** Stores the passkey that a browser created with the options of {@link beginPasskey}. */
  async addPasskey(response: PasskeyMade, name: string): Promise<PasskeyOutcome> {
    try {
      const { id } = await this.#auth.api.verifyPasskeyRegistration({
        body: { response, name },
        headers: this.#headers,
      });
      return { kind: (await removeExcessPasskey(this.#env.DB, id)) ? "too_many" : "added" };
    } catch (error) {
      if (refusalCode(error) === null) throw error;
      return { kind: "refused" };
    }
  }

  /** The options with which a browser signs in with any passkey of this site, as JSON. Valid once, for five minutes. */
  async beginPasskeySignIn(): Promise<string> {
    const options = this.#take(
      await this.#auth.api.generatePasskeyAuthenticationOptions({
        headers: this.#headers,
        returnHeaders: true,
      }),
    );
    // The library asks for "preferred", with which some devices verify nobody: our check would then refuse them.
    return JSON.stringify({ ...options, userVerification: "required" });
  }

  /** Signs in with the answer of a browser to the options of {@link beginPasskeySignIn}. */
  async signInWithPasskey(response: PasskeyUsed): Promise<SignInOutcome> {
    try {
      const body = { response };
      this.#take(
        await this.#auth.api.verifyPasskeyAuthentication({
          body,
          headers: this.#headers,
          returnHeaders: true,
        }),
      );
      return { kind: "signed_in" };
    } catch (error) {
      const code = refusalCode(error);
      if (code === null) throw error;
      if (code !== EMAIL_NOT_VERIFIED) return { kind: "wrong" };
      const owner = await ownerOf(this.#env.DB, response.id);
      if (owner) await this.#auth.api.sendVerificationEmail({ body: { email: owner.email } });
      return { kind: "unverified" };
    }
  }

  async signUp(email: string, password: string): Promise<SignUpOutcome> {
    const [name = ""] = email.split("@");
    try {
      const body = { email, password, name };
      const { token } = this.#take(
        await this.#auth.api.signUpEmail({ body, headers: this.#headers, returnHeaders: true }),
      );
      return { kind: token === null ? "mailed" : "signed_in" };
    } catch (error) {
      if (refusalCode(error) === "USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL") return { kind: "taken" };
      throw error;
    }
  }

  async signOut(): Promise<void> {
    this.#take(await this.#auth.api.signOut({ headers: this.#headers, returnHeaders: true }));
  }

  /** Ends all sessions of the user, including this one. */
  async signOutEverywhere(): Promise<void> {
    await this.#auth.api.revokeSessions({ headers: this.#headers });
    await this.signOut();
  }

  /** Mails a link if an account has the address. The result does not reveal whether one has. */
  async requestPasswordReset(email: string): Promise<void> {
    await this.#auth.api.requestPasswordReset({ body: { email }, headers: this.#headers });
  }

  /** False when the link is used, expired or invalid. */
  async resetPassword(token: string, newPassword: string): Promise<boolean> {
    return await accepted(
      this.#auth.api.resetPassword({ body: { token, newPassword }, headers: this.#headers }),
    );
  }

  /** Verifies an address and signs its user in. False when the link is expired or invalid. */
  async verifyEmail(token: string): Promise<boolean> {
    try {
      this.#take(
        await this.#auth.api.verifyEmail({ query: { token }, headers: this.#headers, returnHeaders: true }),
      );
      return true;
    } catch (error) {
      if (refusalCode(error) === null) throw error;
      return false;
    }
  }

  /** False when the current password is wrong. The user's other sessions end. */
  async changePassword(currentPassword: string, newPassword: string): Promise<boolean> {
    try {
      this.#take(
        await this.#auth.api.changePassword({
          body: { currentPassword, newPassword, revokeOtherSessions: true },
          headers: this.#headers,
          returnHeaders: true,
        }),
      );
      return true;
    } catch (error) {
      if (refusalCode(error) === "INVALID_PASSWORD") return false;
      throw error;
    }
  }

  /** Whether this is the password of the user who is signed in. */
  async isPassword(password: string): Promise<boolean> {
    return await accepted(this.#auth.api.verifyPassword({ body: { password }, headers: this.#headers }));
  }

  /** The sessions of the user: this one, then the newest, at most {@link SESSIONS_LISTED}. */
  async list({ userId, token }: SignedIn): Promise<SessionSummary[]> {
    const rows = await drizzle(this.#env.DB)
      .select()
      .from(sessions)
      .where(and(eq(sessions.userId, userId), gt(sessions.expiresAt, new Date())))
      .orderBy(desc(eq(sessions.token, token)), desc(sessions.createdAt))
      .limit(SESSIONS_LISTED);
    return rows.map((session) => ({
      id: session.id,
      isCurrent: session.token === token,
      createdAt: session.createdAt.getTime(),
      lastSeenAt: session.updatedAt.getTime(),
      userAgent: session.userAgent,
    }));
  }

  /** Ends another session of the user. False when the user has none with this id; the current one does not count. */
  async end({ userId, token }: SignedIn, id: string): Promise<boolean> {
    const ended = await drizzle(this.#env.DB)
      .delete(sessions)
      .where(and(eq(sessions.id, id), eq(sessions.userId, userId), ne(sessions.token, token)));
    return ended.meta.changes > 0;
  }

  /** The URL of the OAuth provider to redirect the browser to. */
  async beginSignInWith(provider: SocialProvider, next: string): Promise<string> {
    const { url } = this.#take(
      await this.#auth.api.signInSocial({
        body: { provider, callbackURL: next, errorCallbackURL: "/sign-in" },
        headers: this.#headers,
        returnHeaders: true,
      }),
    );
    if (!url) throw new Error(`${provider} returned no sign-in URL`);
    return url;
  }

  /** Handles an OAuth callback. The library's response sets cookies and redirects. */
  async returnFrom(request: Request): Promise<Response> {
    return await this.#auth.handler(request);
  }

  async hasPassword(userId: string): Promise<boolean> {
    const rows = await drizzle(this.#env.DB)
      .select({ id: accounts.id })
      .from(accounts)
      .where(and(eq(accounts.userId, userId), eq(accounts.providerId, "credential")));
    return rows.length > 0;
  }

  #take<T>({ headers, response }: { headers: Headers; response: T }): T {
    this.cookies.push(...headers.getSetCookie());
    return response;
  }
}

/** Null when no AUTH_SECRET is configured. */
export function openSessions(settings: AuthSettings, request: Request): Sessions | null {
  const auth = createAuth(settings);
  return auth && new Sessions(auth, request, settings.env);
}

async function accepted(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (refusalCode(error) === null) throw error;
    return false;
  }
}

/** The code of an error of the library, or null for any other error. */
function refusalCode(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== "APIError" || !("body" in error)) return null;
  const { body } = error;
  if (typeof body !== "object" || body === null || !("code" in body)) return null;
  return typeof body.code === "string" ? body.code : null;
}
