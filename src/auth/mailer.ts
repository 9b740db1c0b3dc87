import type { Config } from "../config.ts";
import { isLoopback } from "../origin.ts";
import { within } from "../time.ts";

export type Mail = { to: string; subject: string; text: string };

/** Brings a mail on its way. It throws when that fails. */
export type Mailer = (mail: Mail) => Promise<void>;

const MAIL_MS_MAX = 10_000;

/**
 * How this server sends mail: over the configured HTTP API; on a loopback host to the console, links included;
 * elsewhere not at all, which is null.
 * @param origin scheme and host of the site
 */
export function chooseMailer(config: Config, origin: string): Mailer | null {
  const { MAIL_API_KEY: key, MAIL_API_URL: url, MAIL_FROM: from } = config;
  if (key !== undefined && from !== undefined) return (mail) => post(url, key, from, mail);
  return isLoopback(origin) ? writeToConsole : null;
}

/** Whether mails reach anybody but the developer, so that an address can be held to have been proven by one. */
export function sendsRealMail(config: Config): boolean {
  return config.MAIL_API_KEY !== undefined && config.MAIL_FROM !== undefined;
}

/** JSON `{from, to, subject, text}` with a bearer token: the form that Resend's API has, and others took over. */
async function post(url: string, key: string, from: string, { to, subject, text }: Mail): Promise<void> {
  const response = await within(
    MAIL_MS_MAX,
    fetch(url, {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: JSON.stringify({ from, to: [to], subject, text }),
    }),
  );
  await response.body?.cancel();
  if (!response.ok) throw new Error(`the mail API answered ${response.status}`);
}

async function writeToConsole({ to, subject, text }: Mail): Promise<void> {
  console.log(`\nMail to ${to}: ${subject}\n${text}\n`);
}
