const DATE = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  timeZone: "UTC",
});
const TIME = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZone: "UTC",
});
const NUMBER = new Intl.NumberFormat("en");
const DAY_MS = 86_400_000;

/** "22 Nov 2026" */
export function formatDate(milliseconds: number): string {
  return DATE.format(milliseconds);
}

/** "22 Nov 2026, 14:05 UTC" */
export function formatTime(milliseconds: number): string {
  return `${TIME.format(milliseconds)} UTC`;
}

/** "1,200" */
export function formatNumber(value: number): string {
  return NUMBER.format(value);
}

/** "$5.00". @param amount in the smallest unit of the currency, such as cents */
export function formatMoney(amount: number, currency: string): string {
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  return format.format(amount / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 0));
}

/** "1 credit", "8 credits" */
export function formatCredits(credits: number): string {
  return counted(credits, "credit");
}

export function counted(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${Math.abs(count) === 1 ? "" : "s"}`;
}

/** "in 12 days", "within a day" */
export function formatUntil(milliseconds: number, now: number): string {
  const days = Math.round((milliseconds - now) / DAY_MS);
  return days < 1 ? "within a day" : `in ${counted(days, "day")}`;
}

/** "1.4 MB" */
export function formatBytes(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
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
