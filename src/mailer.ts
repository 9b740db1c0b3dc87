import type { Config } from "./config.ts";
import { describe, log } from "./log.ts";
import { isLoopback } from "./origin.ts";
import { withTimeout } from "./time.ts";

export type Mail = { to: string; subject: string; text: string };

/** Sends a mail. Throws on failure. */
export type Mailer = (mail: Mail) => Promise<void>;

const MAIL_MS_MAX = 10_000;

/**
 * Returns how this server sends mail: through the configured HTTP API, or on a loopback host to the console. Null
 * when it cannot.
 * @param origin scheme and host of the site
 */
export function chooseMailer(config: Config, origin: string): Mailer | null {
  const { MAIL_API_KEY: key, MAIL_API_URL: url, MAIL_FROM: from } = config;
  if (key !== undefined && from !== undefined) return (mail) => post(url, key, from, mail);
  return isLoopback(origin) ? writeToConsole : null;
}

/** Whether mails reach their recipients, so that a link in one verifies an address. */
export function sendsRealMail(config: Config): boolean {
  return config.MAIL_API_KEY !== undefined && config.MAIL_FROM !== undefined;
}

/** Sends JSON `{from, to, subject, text}` with a bearer token, as Resend's API and compatible ones expect. */
async function post(url: string, key: string, from: string, { to, subject, text }: Mail): Promise<void> {
  const response = await withTimeout(
    MAIL_MS_MAX,
    fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ from, to: [to], subject, text }),
    }),
  );
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the mail API returned ${response.status}`);
}

/** Sends a mail. A failure is logged, and the request continues. @param mailer null where no mail API is configured */
export async function sendMail(mailer: Mailer | null, mail: Mail): Promise<void> {
  try {
    if (!mailer) throw new Error("no mail API is configured");
    await mailer(mail);
  } catch (error) {
    log("mail_failed", { error: describe(error) });
  }
}

async function writeToConsole({ to, subject, text }: Mail): Promise<void> {
  console.log(`\nMail to ${to}: ${subject}\n${text}\n`);
}
