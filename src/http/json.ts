/** The result of parsing a text as JSON. `twice`: an object in it has two members of this name. */
export type ParsedJson =
  | { kind: "json"; value: unknown }
  | { kind: "invalid" }
  | { kind: "twice"; name: string };

/**
 * Parses JSON in which no object has a member twice: `JSON.parse` takes the last one without a word (RFC 8259, section
 * 4, leaves it open), and a request must not be charged for something that its other half contradicts.
 */
export function parseJson(text: string): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "invalid" };
  }
  const name = findDuplicate(text);
  return name === null ? { kind: "json", value } : { kind: "twice", name };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** The first name that an object of this valid JSON text has twice, or null. */
function findDuplicate(text: string): string | null {
  /** The names of each object that is open at this position. */
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === OPEN) open.push(new Set());
    if (code === CLOSE) open.pop();
    if (code !== QUOTE) continue;
    const end = endOfString(text, at);
    // In valid JSON a colon follows names, and nothing else.
    if (isNext(text, end, COLON)) {
      const name: string = JSON.parse(text.slice(at, end));
      const names = open.at(-1);
      if (names?.has(name)) return name;
      names?.add(name);
    }
    at = end - 1;
  }
  return null;
}

/** The position behind the quote that ends the string that begins at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; text.charCodeAt(at) !== QUOTE; at++) {
    if (text.charCodeAt(at) === BACKSLASH) at++;
  }
  return at + 1;
}

function isNext(text: string, from: number, wanted: number): boolean {
  let at = from;
  while (/[ \t\r\n]/.test(text.charAt(at))) at++;
  return text.charCodeAt(at) === wanted;
}
