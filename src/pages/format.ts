/**
 * How a language writes numbers, dates and money.
 * @param locale of numbers and money
 * @param dates locale of dates
 */
export function formatsIn(locale: string, dates: string) {
  const whole = new Intl.NumberFormat(locale);
  const tenths = new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const day = { day: "numeric", month: "short", timeZone: "UTC" } as const;
  const date = new Intl.DateTimeFormat(dates, { ...day, year: "numeric" });
  const dayOfYear = new Intl.DateTimeFormat(dates, day);
  const time = new Intl.DateTimeFormat(dates, {
    ...day,
    ...{ year: "numeric", hour: "2-digit", minute: "2-digit" },
  });
  return {
    /** "1,200" */
    number: (value: number) => whole.format(value),
    /** "22 Nov 2026". @param milliseconds since 1970 */
    date: (milliseconds: number) => date.format(milliseconds),
    /** "22 Nov". @param milliseconds since 1970 */
    dayOfYear: (milliseconds: number) => dayOfYear.format(milliseconds),
    /** "22 Nov 2026, 14:05 UTC". @param milliseconds since 1970 */
    time: (milliseconds: number) => `${time.format(milliseconds)} UTC`,
    /** "$5.00". @param amount in the smallest unit of the currency, such as cents */
    money: (amount: number, currency: string) => {
      const format = new Intl.NumberFormat(locale, { style: "currency", currency });
      return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0));
    },
    /** "1.4 MB" */
    bytes: (bytes: number) =>
      bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${tenths.format(bytes / 1_000_000)} MB`,
  };
}

const DAY_MS = 86_400_000;

/** The whole days from one time to another, rounded. */
export function daysBetween(now: number, milliseconds: number): number {
  return Math.round((milliseconds - now) / DAY_MS);
}

const FILE_WORDS_MAX = 60;
/** The end of an id, which differs among images. */
const ID_END = 6;

/** "a-lighthouse-at-dusk-1D0E7K.png": the beginning of the prompt, and what tells its images apart. */
export function imageFileName(prompt: string, image: { id: string; contentType: string }): string {
  const slug = prompt
    .slice(0, FILE_WORDS_MAX)
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, "-")
    .replace(/^-+|-+$/g, "");
  return `${slug || "image"}-${image.id.slice(-ID_END)}.${image.contentType.replace("image/", "")}`;
}

/** The beginning of a text, cut at a space, with "…" when something is missing. */
export function excerptOf(text: string, charactersMax: number): string {
  const characters = [...text];
  if (characters.length <= charactersMax) return text;
  return `${characters
    .slice(0, charactersMax)
    .join("")
    .replace(/\s+\S*$/, "")}…`;
}
