import { passkey } from "@better-auth/passkey";
import { APIError } from "better-auth/api";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { passkeys, users } from "../db/schema.ts";

/** The codes of our own refusals. */
const USER_NOT_VERIFIED = "USER_NOT_VERIFIED";
export const EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED";

/**
 * Configures the library's passkeys with the rules that it does not have: a passkey alone signs in, so the device must
 * have verified its user, by a fingerprint, a face or a PIN; a user has a limited number; and where a password needs a
 * confirmed address, a passkey does.
 */
export function passkeyPlugin(d1: D1Database, origin: string, requiresVerifiedEmail: boolean) {
  return passkey({
    rpID: new URL(origin).hostname,
    rpName: "GPT Image Hub",
    origin,
    authenticatorSelection: { residentKey: "required", userVerification: "required" },
    advanced: { webAuthnChallengeCookie: "passkey" },
    registration: {
      async afterVerification({ verification: { registrationInfo } }) {
        if (!registrationInfo?.userVerified) throw refusal(USER_NOT_VERIFIED);
      },
    },
    authentication: {
      async afterVerification({ verification: { authenticationInfo }, clientData }) {
        if (!authenticationInfo.userVerified) throw refusal(USER_NOT_VERIFIED);
        if (!requiresVerifiedEmail) return;
        const owner = await ownerOf(d1, clientData.id);
        if (!owner?.emailVerified) throw refusal(EMAIL_NOT_VERIFIED);
      },
    },
  });
}

/** The user of a passkey, by the id that its device chose. */
export async function ownerOf(
  d1: D1Database,
  credentialId: string,
): Promise<{ email: string; emailVerified: boolean } | null> {
  const [owner] = await drizzle(d1)
    .select({ email: users.email, emailVerified: users.emailVerified })
    .from(passkeys)
    .innerJoin(users, eq(users.id, passkeys.userId))
    .where(eq(passkeys.credentialID, credentialId));
  return owner ?? null;
}

function refusal(code: string): APIError {
  return new APIError("FORBIDDEN", { code, message: code });
}
