import { describe, expect, it } from "vitest";
import * as z from "zod";
import { type Entry, excerpt, QUERY_LENGTH_MAX, search } from "../../public/assets/search/match.js";
import { ENTRIES_MAX, entriesOf, TEXT_LENGTH_MAX } from "../../src/pages/docs/search/entries.ts";
import { Visitor } from "./visitor.ts";

const visitor = new Visitor();
const entry = (heading: string, text: string): Entry => ({ page: "Guide", path: "/docs#x", heading, text });

describe("search", () => {
  const entries = [
    entry("Errors", "Read the idempotency key again."),
    entry("Idempotency", "Send a key with each request."),
    entry("Sınırlar", "İstek başına en çok dört görsel."),
  ];

  it("puts sections with the word in their heading first", () => {
    expect(search(entries, "idempotency", 9).map(({ heading }) => heading)).toEqual([
      "Idempotency",
      "Errors",
    ]);
  });

  it("needs all words, and returns at most so many", () => {
    expect(search(entries, "idempotency again", 9).map(({ heading }) => heading)).toEqual(["Errors"]);
    expect(search(entries, "key", 1)).toHaveLength(1);
    expect(search(entries, "key nothing", 9)).toEqual([]);
  });

  it.each(["sinirlar", "SINIRLAR", "ıstek", "gorsel", "İSTEK"])(
    "finds %s without regard to case and dots",
    (query) => {
      expect(search(entries, query, 9).map(({ heading }) => heading)).toEqual(["Sınırlar"]);
    },
  );

  it("ignores an empty query, and what is after the limit", () => {
    expect(search(entries, "  ", 9)).toEqual([]);
    const padded = "key".padEnd(QUERY_LENGTH_MAX);
    expect(search(entries, `${padded}zzz`, 9)).toHaveLength(2);
    expect(search(entries, `${padded.slice(1)}zzz`, 9)).toHaveLength(0);
  });

  it("shows the part of a text where the word is", () => {
    const text = `${"a word ".repeat(40)}lighthouse ${"and more ".repeat(40)}`;
    expect(excerpt(text, "lighthouse")).toMatch(/^… .*lighthouse.* …$/);
    expect(excerpt("A short text.", "text")).toBe("A short text.");
  });
});

describe("entriesOf", () => {
  it("reads the text below each heading, without code samples, up to a limit", () => {
    const long = "x".repeat(TEXT_LENGTH_MAX + 1);
    const html = `<main><h1>No</h1><h2 id="a"><a href="#a">A &amp; B</a></h2><p>Use <code>n</code>.</p><pre>curl</pre><h3 id="b">C</h3><p>${long}</p></main>`;
    expect(entriesOf("Guide", "/docs", html)).toEqual([
      { page: "Guide", path: "/docs#a", heading: "A & B", text: "Use n." },
      { page: "Guide", path: "/docs#b", heading: "C", text: "x".repeat(TEXT_LENGTH_MAX) },
    ]);
  });
});

const Entries = z.array(
  z.object({ page: z.string(), path: z.string(), heading: z.string(), text: z.string() }),
);

describe.each([
  ["/docs/search", "/docs#idempotency", "rate limit", "Nothing found."],
  ["/tr/docs/search", "/tr/docs#idempotency", "hız sınır", "Sonuç bulunamadı."],
])("%s", (path, section, query, nothing) => {
  it("has an index of the pages, cached and small", async () => {
    const response = await visitor.get(`${path}.json`);
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    const text = await response.text();
    expect(text.length).toBeLessThan(150_000);
    const entries = Entries.parse(JSON.parse(text));
    expect(entries.length).toBeLessThan(ENTRIES_MAX);
    expect(new Set(entries.map((found) => found.path)).size).toBe(entries.length);
    const paths = entries.map((found) => found.path);
    expect(paths).toContain(section);
    expect(paths).toContain("/docs/reference/api#createGeneration");
  });

  it("shows results without scripts, and is not indexed", async () => {
    const response = await visitor.get(`${path}?q=${encodeURIComponent(query)}`);
    const page = await response.text();
    expect(response.headers.get("x-robots-tag")).toBe("noindex");
    expect(response.headers.get("cache-control")).toBe("private, no-store");
    expect(page).toMatch(/<ol class="results"><li><a href="[^"]+#rate-limits">/);
    expect((await (await visitor.get(path)).text()).includes('class="results"')).toBe(false);
  });

  it("escapes the query, and says when nothing is found", async () => {
    const page = await (await visitor.get(`${path}?q=${encodeURIComponent('"><script>zzz')}`)).text();
    expect(page).toContain("&quot;&gt;&lt;script&gt;zzz");
    expect(page).not.toContain("<script>zzz");
    expect(page).toContain(nothing);
  });
});
