// Used by the search box in the browser, and by the Worker for the page of results.

/** @typedef {{ page: string, path: string, heading: string, text: string }} Entry A section of a page. */

export const QUERY_LENGTH_MAX = 100;
const WORDS_MAX = 8;
const BEFORE = 50;
const EXCERPT_LENGTH = 160;

/**
 * The sections that contain all words of a query, best first: those with the words in their heading. Case, accents and
 * the Turkish dotless i make no difference.
 * @param {readonly Entry[]} entries
 * @param {string} query its first 100 characters count
 * @param {number} most how many to return
 */
export function search(entries, query, most) {
  const words = wordsOf(query);
  if (words.length === 0) return [];
  return entries
    .map((entry) => ({ entry, score: scoreOf(entry, words) }))
    .filter(({ score }) => score > 0)
    .sort((one, other) => other.score - one.score)
    .slice(0, most)
    .map(({ entry }) => entry);
}

/**
 * The part of a text where a query's first word is.
 * @param {string} text
 * @param {string} query
 */
export function excerpt(text, query) {
  const folded = fold(text);
  const at = Math.max(0, ...wordsOf(query).map((word) => folded.indexOf(word)));
  const from = at <= BEFORE ? 0 : text.indexOf(" ", at - BEFORE) + 1;
  const part = text.slice(from, from + EXCERPT_LENGTH).trim();
  return `${from > 0 ? "… " : ""}${part}${from + EXCERPT_LENGTH < text.length ? " …" : ""}`;
}

/** @param {Entry} entry @param {readonly string[]} words */
function scoreOf({ heading, text }, words) {
  const [name, body] = [fold(heading), fold(text)];
  let score = 0;
  for (const word of words) {
    const found =
      (name.startsWith(word) ? 12 : name.includes(word) ? 8 : 0) + Math.min(body.split(word).length - 1, 5);
    if (found === 0) return 0;
    score += found;
  }
  return score;
}

/** @param {string} query */
function wordsOf(query) {
  const words = fold(query.slice(0, QUERY_LENGTH_MAX)).split(/\s+/u);
  return words.filter((word) => word !== "").slice(0, WORDS_MAX);
}

/** @param {string} text */
function fold(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replaceAll("ı", "i");
}
