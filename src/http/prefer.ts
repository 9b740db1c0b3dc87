import type { Context } from "hono";
import type { AppEnv } from "./env.ts";

/** The preferences of a request that this API knows: the `Prefer` header of RFC 7240. */
export type Preferences = {
  /** `respond-async`: answer without waiting for the end. */
  respondAsync: boolean;
  /** `wait`: the seconds to wait for the end; null where none are given, or not within the limit. */
  waitSeconds: number | null;
};

const TOKEN = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;

/**
 * Reads the `Prefer` header. As RFC 7240 asks, unknown preferences and values that are not valid are ignored, and of a
 * preference that is given twice the first counts.
 * @param waitMax the most seconds that `wait` may ask for; a larger value is ignored
 */
export function readPreferences(c: Context<AppEnv>, waitMax: number): Preferences {
  const given = parsePrefer(c.req.header("Prefer") ?? "");
  const wait = given.get("wait") ?? "";
  const seconds = /^\d{1,9}$/.test(wait) ? Number(wait) : 0;
  return {
    respondAsync: given.get("respond-async") === "",
    waitSeconds: seconds >= 1 && seconds <= waitMax ? seconds : null,
  };
}

/** Sets `Preference-Applied` to the preferences that the response honours. */
export function setPreferenceApplied(c: Context<AppEnv>, { respondAsync, waitSeconds }: Preferences): void {
  const applied = [
    ...(respondAsync ? ["respond-async"] : []),
    ...(waitSeconds === null ? [] : [`wait=${waitSeconds}`]),
  ];
  if (applied.length > 0) c.header("Preference-Applied", applied.join(", "));
}

/** The value of each preference, by its name in lower case; empty where it has none. Parameters are left out. */
export function parsePrefer(header: string): Map<string, string> {
  const preferences = new Map<string, string>();
  for (const preference of split(header, ",")) {
    const [pair = ""] = split(preference, ";");
    const [name = "", ...rest] = pair.split("=");
    const key = name.trim().toLowerCase();
    const value = readWord(rest.join("=").trim());
    if (TOKEN.test(key) && value !== null && !preferences.has(key)) preferences.set(key, value);
  }
  return preferences;
}

/** A token, or the text of a quoted string; null for anything else. An empty value is no value. */
function readWord(word: string): string | null {
  if (word === "" || TOKEN.test(word)) return word;
  const [, quoted] = QUOTED.exec(word) ?? [];
  return quoted?.replaceAll(/\\(.)/g, "$1") ?? null;
}

/** Splits at a separator that is not within a quoted string. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    if (isQuoted && text[at] === "\\") at++;
    else if (text[at] === '"') isQuoted = !isQuoted;
    else if (text[at] === separator && !isQuoted) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}
