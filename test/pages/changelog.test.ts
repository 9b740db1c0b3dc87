import { describe, expect, it } from "vitest";
import { readChangelog } from "../../src/pages/docs/changelog/changelog.ts";
import { SITE, Visitor } from "./visitor.ts";

const visitor = new Visitor();

const MARKDOWN = `# Changelog

An introduction
in two lines.

## [Unreleased]

Do this
first.

### Added

- One
  item.
- Another.

## [1.0.0] - 2026-11-22 (first)

### Known gaps

- None.
`;

describe("readChangelog", () => {
  it("reads releases, their groups and items, and joins lines", () => {
    expect(readChangelog(MARKDOWN)).toEqual([
      {
        id: "unreleased",
        name: "Unreleased",
        date: null,
        groups: [
          { name: null, paragraphs: ["Do this first."], items: [] },
          { name: "Added", paragraphs: [], items: ["One item.", "Another."] },
        ],
      },
      {
        id: "1-0-0",
        name: "1.0.0",
        date: "2026-11-22",
        groups: [
          { name: null, paragraphs: [], items: [] },
          { name: "Known gaps", paragraphs: [], items: ["None."] },
        ],
      },
    ]);
  });

  it("reads nothing from an empty file", () => expect(readChangelog("")).toEqual([]));
});

describe("the changelog's page", () => {
  it("shows each release, links to the feed, and is cached", async () => {
    const response = await visitor.get("/docs/changelog");
    const page = await response.text();
    expect([response.status, response.headers.get("cache-control")]).toEqual([200, "public, max-age=300"]);
    expect(page).toContain('<h2 id="0-1-0"><a href="#0-1-0">0.1.0</a></h2>');
    expect(page).toContain("<code>GET /api/v1/generations</code> with pagination");
    expect(page).toContain('<link rel="alternate" type="application/atom+xml" href="/docs/changelog.xml"/>');
    // No Markdown is left, and no link to a file that is not on this site.
    expect(page).not.toMatch(/\]\(|`/);
    const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("is linked in the footer of the public pages", async () => {
    for (const path of ["/", "/docs", "/tr/docs"])
      expect(await (await visitor.get(path)).text(), path).toContain(
        '<a href="/docs/changelog" hreflang="en">',
      );
  });

  it("has a feed of the releases with a date", async () => {
    const response = await visitor.get("/docs/changelog.xml");
    const feed = await response.text();
    expect(response.headers.get("content-type")).toBe("application/atom+xml; charset=utf-8");
    expect(feed).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?><feed xmlns="http:\/\/www.w3.org\/2005\/Atom">/,
    );
    expect(feed).toContain(`<id>${SITE}/docs/changelog#0-1-0</id>`);
    expect(feed).toContain("<updated>2026-11-22T00:00:00Z</updated>");
    expect(feed).toContain("&lt;ul&gt;&lt;li&gt;");
    expect(feed).not.toContain("Unreleased");
  });
});
