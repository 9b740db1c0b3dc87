import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { readConfig } from "../config.ts";
import { users } from "../db/schema.ts";
import { describe, log } from "../log.ts";
import { chooseMailer, type Mail, type Mailer } from "../mailer.ts";
import { noticeTexts } from "../notice-texts.ts";
import { withTimeout } from "../time.ts";
import { NEVER } from "./store/ledger.ts";

const DAY_MS = 86_400_000;
/** How long before their expiry credits are announced. */
const EXPIRING_MS = 7 * DAY_MS;
/** A failed mail is retried after this time, which doubles. */
const RETRY_MS = 600_000;
/** The most attempts for one mail. */
const TRIES_MAX = 5;

/** A user's settings for mails. */
export type NoticeSettings = {
  /** A mail is sent when the balance falls below; null: none. */
  lowBalance: number | null;
  /** Whether a mail is sent when credits expire within 7 days. */
  expiring: boolean;
};

type Row = {
  low_balance: number | null;
  expiring: number;
  /** 0: not below the threshold; 1: below, and a mail is due; 2: below, and mailed. */
  low: number;
  /** The latest expiry that a mail announced. */
  expiring_until: number;
  tries: number;
  retry_at: number;
};

/** The settings of a user who never changed them. */
const DEFAULTS: Row = { low_balance: null, expiring: 1, low: 0, expiring_until: 0, tries: 0, retry_at: 0 };

/** Credits that expire soon: how many, when the first and when the last. */
type Expiring = { credits: number; first: number; last: number };

type Due = { low: { balance: number; threshold: number } | null; expiring: Expiring | null; before: Row };

type Access = {
  sql: SqlStorage;
  userId: () => string;
  env: () => Env;
  /** Runs the work in one transaction. */
  commit: <T>(work: (now: number) => T) => T;
  /** Inside a transaction: makes sure that the alarm fires by then. */
  armFor: (time: number | null) => void;
};

/**
 * Mails about an account's credits, sent by its alarm. A mail is noted before it is sent, so that a crash loses one
 * rather than sends it twice. Where the service cannot send mail, nothing is noted or armed.
 */
export class Notices {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  settings(): NoticeSettings {
    const { low_balance, expiring } = this.#row();
    return { lowBalance: low_balance, expiring: expiring === 1 };
  }

  /** Inside a transaction. A balance that is below a new threshold is not announced until it was above. */
  set({ lowBalance, expiring }: NoticeSettings, balance: number, now: number): void {
    const low = lowBalance !== null && balance < lowBalance ? 2 : 0;
    this.#write({ ...this.#row(), low_balance: lowBalance, expiring: expiring ? 1 : 0, low });
    this.#access.armFor(this.nextDue(now));
  }

  /** Inside the transaction that changed the balance. */
  balanceChanged(balance: number, now: number): void {
    if (this.#mailer() === null) return;
    const row = this.#row();
    const isLow = row.low_balance !== null && balance < row.low_balance;
    if (isLow !== row.low > 0) this.#write({ ...row, low: isLow ? 1 : 0 });
    this.#access.armFor(this.nextDue(now));
  }

  /** When the next mail is due; null when none is. */
  nextDue(now: number): number | null {
    if (this.#mailer() === null) return null;
    const row = this.#row();
    if (row.low === 1) return Math.max(now, row.retry_at);
    if (row.expiring === 0) return null;
    const [next] = this.#access.sql.exec<{ expires_at: number }>(
      "SELECT expires_at FROM grants WHERE spent = 0 AND expires_at > ? ORDER BY expires_at LIMIT 1",
      row.expiring_until,
    );
    return next === undefined || next.expires_at === NEVER
      ? null
      : Math.max(next.expires_at - EXPIRING_MS, row.retry_at);
  }

  /** Sends the mails that are due, for at most that long. A failure is logged and repeated later. */
  async sendDue(milliseconds: number): Promise<void> {
    const mailer = this.#mailer();
    const due = mailer && this.#access.commit((now) => this.#take(now));
    if (mailer === null || due === null) return;
    try {
      await withTimeout(milliseconds, this.#send(mailer, due));
      this.#access.commit(() => this.#write({ ...this.#row(), tries: 0, retry_at: 0 }));
    } catch (error) {
      log("notice_failed", { user_id: this.#access.userId(), error: describe(error) });
      this.#access.commit((now) => this.#retry(due.before, now));
    }
  }

  /** What is due, noted as sent. */
  #take(now: number): Due | null {
    const row = this.#row();
    if (now < row.retry_at) return null;
    const expiring = row.expiring === 1 ? this.#expiringCredits(row.expiring_until, now) : null;
    const isLow = row.low === 1 && row.low_balance !== null;
    if (!isLow && expiring === null) return null;
    const until = expiring?.last ?? row.expiring_until;
    this.#write({ ...row, low: isLow ? 2 : row.low, expiring_until: until });
    const { held } = this.#access.sql
      .exec<{ held: number }>("SELECT coalesce(sum(remaining), 0) AS held FROM grants WHERE spent = 0")
      .one();
    return { low: isLow ? { balance: held, threshold: row.low_balance ?? 0 } : null, expiring, before: row };
  }

  #expiringCredits(until: number, now: number): Expiring | null {
    const found = this.#access.sql
      .exec<{ credits: number; first: number | null; last: number | null }>(
        `SELECT coalesce(sum(remaining), 0) AS credits, min(expires_at) AS first, max(expires_at) AS last
         FROM grants WHERE spent = 0 AND expires_at > ? AND expires_at <= ?`,
        Math.max(until, now),
        now + EXPIRING_MS,
      )
      .one();
    const { credits, first, last } = found;
    return first === null || last === null ? null : { credits, first, last };
  }

  /** After a failure: due again later, unless the balance is no longer low. */
  #retry(before: Row, now: number): void {
    const row = this.#row();
    const tries = row.tries + 1;
    if (tries >= TRIES_MAX) {
      this.#write({ ...row, tries: 0, retry_at: 0 });
      return;
    }
    this.#write({
      ...row,
      low: row.low === 2 ? before.low : row.low,
      expiring_until: before.expiring_until,
      tries,
      retry_at: now + RETRY_MS * 2 ** row.tries,
    });
    this.#access.armFor(this.nextDue(now));
  }

  async #send(mailer: Mailer, { low, expiring }: Due): Promise<void> {
    const env = this.#access.env();
    const [user] = await drizzle(env.DB).select().from(users).where(eq(users.id, this.#access.userId()));
    if (!user) return;
    const site = readConfig(env).PUBLIC_BASE_URL ?? "";
    const texts = noticeTexts(user.language);
    const links = texts.links(`${site}/account/credits`, `${site}/account/settings`);
    const send = ({ subject, text }: Omit<Mail, "to">) =>
      mailer({ to: user.email, subject, text: `${text}\n\n${links}` });
    if (low) await send(texts.low(low.balance, low.threshold));
    if (expiring) await send(texts.expiring(expiring.credits, expiring.first));
  }

  #mailer(): Mailer | null {
    const config = readConfig(this.#access.env());
    // Only a development server has no PUBLIC_BASE_URL.
    return chooseMailer(config, config.PUBLIC_BASE_URL ?? "http://localhost");
  }

  #row(): Row {
    const [row] = this.#access.sql.exec<Row>(
      "SELECT low_balance, expiring, low, expiring_until, tries, retry_at FROM notices",
    );
    return row ?? DEFAULTS;
  }

  #write({ low_balance, expiring, low, expiring_until, tries, retry_at }: Row): void {
    this.#access.sql.exec(
      "INSERT OR REPLACE INTO notices VALUES (1, ?, ?, ?, ?, ?, ?)",
      ...[low_balance, expiring, low, expiring_until, tries, retry_at],
    );
  }
}
