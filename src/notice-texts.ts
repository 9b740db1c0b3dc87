import type { Mail } from "./mailer.ts";

/** The texts of mails that are sent without a request, in each language of the pages. */

type MailText = Omit<Mail, "to">;

type NoticeTexts = {
  low: (balance: number, threshold: number) => MailText;
  /** @param first when the first of these credits expire, in milliseconds since 1970 */
  expiring: (credits: number, first: number) => MailText;
  links: (credits: string, settings: string) => string;
};

const english: NoticeTexts = {
  low: (balance, threshold) => ({
    subject: "Your credits are low",
    text: `Your balance at GPT Image Hub is ${creditsOf(balance)}, which is below ${EN.number(threshold)}.`,
  }),
  expiring: (credits, first) => ({
    subject: "Some of your credits expire soon",
    text: `${creditsOf(credits)} of your balance at GPT Image Hub expire within 7 days, the first on ${EN.date(first)}.`,
  }),
  links: (credits, settings) => `Your credits: ${credits}\nTo change or stop these mails: ${settings}`,
};

const turkish: NoticeTexts = {
  low: (balance, threshold) => ({
    subject: "Krediniz azaldı",
    text: `GPT Image Hub bakiyeniz ${TR.number(balance)} kredi: belirlediğiniz ${TR.number(threshold)} kredilik sınırın altında.`,
  }),
  expiring: (credits, first) => ({
    subject: "Bazı kredilerinizin süresi yakında doluyor",
    text: `GPT Image Hub bakiyenizdeki ${TR.number(credits)} kredinin süresi 7 gün içinde dolacak. İlk tarih: ${TR.date(first)}.`,
  }),
  links: (credits, settings) =>
    `Kredileriniz: ${credits}\nBu e-postaları değiştirmek veya durdurmak için: ${settings}`,
};

const EN = formats("en", "en-GB");
const TR = formats("tr", "tr");

/** Each call makes its format: made when the Worker starts, the four would be a fifth of its start-up time. */
function formats(locale: string, dates: string) {
  return {
    number: (value: number) => new Intl.NumberFormat(locale).format(value),
    date: (milliseconds: number) =>
      new Intl.DateTimeFormat(dates, { dateStyle: "long", timeZone: "UTC" }).format(milliseconds),
  };
}

function creditsOf(credits: number): string {
  return `${EN.number(credits)} ${credits === 1 ? "credit" : "credits"}`;
}

/** @param language of the user, as stored: null, or one that this release does not know, is English */
export function noticeTexts(language: string | null): NoticeTexts {
  switch (language) {
    case "tr":
      return turkish;
    default:
      return english;
  }
}
