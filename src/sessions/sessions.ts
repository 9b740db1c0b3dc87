import { and, eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { accounts, signupMailboxes, users } from "../db/schema.ts";
import { sha256Hex } from "../hash.ts";
import { sleep } from "../time.ts";
import { type Auth, type AuthSettings, createAuth } from "./auth.ts";
import { mailboxOf } from "./mailbox.ts";
import type { SocialProvider } from "./rules.ts";

/** Whoever is signed in with the request at hand. */
export type SignedIn = {
  userId: string;
  email: string;
  accountType: "FREE" | "PRO";
  /** Of this session, not to be shown. */
  token: string;
  /** Whether somebody proved to read this address: by a link in a mail, or by another site that they sign in with. */
  emailVerified: boolean;
  /** Whether the credits for signing up are still to be given. */
  signupGrantDue: boolean;
};

export type SessionSummary = {
  token: string;
  createdAt: number;
  lastSeenAt: number;
  userAgent: string | null;
};

export type SignInOutcome = { kind: "signed_in" } | { kind: "wrong" } | { kind: "unverified" };
/** From the beginning of a sign-in to the answer that it is wrong: several times what the stretching takes. */
export const WRONG_MS = 500;

export type SignUpOutcome = { kind: "signed_in" } | { kind: "mailed" } | { kind: "taken" };

/**
 * What can be done about the session of one request. The cookies that the answer has to set gather in `cookies`.
 * Every other failure than those named throws.
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
      emailVerified: user.emailVerified,
      signupGrantDue: user.signupGrantDue === true,
    };
  }

  /**
   * An unknown address and a wrong password are one outcome, and take the same time: both stretch the password, and the
   * clock hides what their queries differ by.
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
      if (code === "EMAIL_NOT_VERIFIED") return { kind: "unverified" };
      throw error;
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

  /** Ends every session of the user, this one too. */
  async signOutEverywhere(): Promise<void> {
    await this.#auth.api.revokeSessions({ headers: this.#headers });
    await this.signOut();
  }

  /** Sends a link where an account has that address; nothing in the answer tells whether one has. */
  async requestPasswordReset(email: string): Promise<void> {
    await this.#auth.api.requestPasswordReset({ body: { email }, headers: this.#headers });
  }

  /** False when the link is used up, too old, or made up. */
  async resetPassword(token: string, newPassword: string): Promise<boolean> {
    return await accepted(
      this.#auth.api.resetPassword({ body: { token, newPassword }, headers: this.#headers }),
    );
  }

  /** False when the link is too old or made up. The one whose address it proves is signed in then. */
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

  /** The sessions of whoever is signed in, the newest first. */
  async list(): Promise<SessionSummary[]> {
    const sessions = await this.#auth.api.listSessions({ headers: this.#headers });
    return sessions
      .map(({ token, createdAt, updatedAt, userAgent }) => ({
        token,
        createdAt: createdAt.getTime(),
        lastSeenAt: updatedAt.getTime(),
        userAgent: userAgent ?? null,
      }))
      .toSorted((a, b) => b.createdAt - a.createdAt);
  }

  /** Where to send the browser, so that another site vouches for whoever sits before it. */
  async beginSignInWith(provider: SocialProvider, next: string): Promise<string> {
    const { url } = this.#take(
      await this.#auth.api.signInSocial({
        body: { provider, callbackURL: next, errorCallbackURL: "/sign-in" },
        headers: this.#headers,
        returnHeaders: true,
      }),
    );
    if (!url) throw new Error(`${provider} gave no address to sign in at`);
    return url;
  }

  /** Answers the return from another site: cookies and redirect are the library's. */
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

const SIGNUP_GRANT_ID = "signup";
const SIGNUP_GRANT_MS = 30 * 86_400_000;

/**
 * Gives the credits for signing up: once for each mailbox, whoever signs up with it. Safe to repeat after a crash, as
 * the mailbox remembers its user and the account remembers the grant.
 */
export async function giveSignupCredits(
  env: Env,
  { userId, email }: Pick<SignedIn, "userId" | "email">,
  credits: number,
  now: number,
): Promise<void> {
  const db = drizzle(env.DB);
  if (credits > 0) {
    const mailbox = await sha256Hex(mailboxOf(email));
    const [, [first]] = await db.batch([
      db.insert(signupMailboxes).values({ mailbox, userId }).onConflictDoNothing(),
      db.select().from(signupMailboxes).where(eq(signupMailboxes.mailbox, mailbox)),
    ]);
    if (first?.userId === userId) {
      const account = env.ACCOUNT.getByName(userId);
      await account.grant(SIGNUP_GRANT_ID, credits, now + SIGNUP_GRANT_MS, "Welcome");
    }
  }
  await db.update(users).set({ signupGrantDue: false }).where(eq(users.id, userId));
}

/** Null while this server has no secret to sign sessions with. */
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

/** The code of a refusal by the library, or null for whatever else was thrown. */
function refusalCode(error: unknown): string | null {
  if (!(error instanceof Error) || error.name !== "APIError" || !("body" in error)) return null;
  const { body } = error;
  if (typeof body !== "object" || body === null || !("code" in body)) return null;
  return typeof body.code === "string" ? body.code : null;
}
