import type { Entry } from "../../../../public/assets/search/match.js";

/** Of a longer section, its beginning is searched. */
export const TEXT_LENGTH_MAX = 2_000;
export const ENTRIES_MAX = 300;

const HEADING = /<h[23] id="(?<id>[^"]+)">(?<name>.*?)<\/h[23]>/gs;
const ENTITIES = new Map([
  ["&amp;", "&"],
  ["&lt;", "<"],
  ["&gt;", ">"],
  ["&quot;", '"'],
  ["&#39;", "'"],
]);

/**
 * The sections of a page, by its headings with an id. Code samples are left out.
 * @param html of our own page
 */
export function entriesOf(page: string, path: string, html: string): Entry[] {
  const main = html.slice(html.indexOf("<main"), html.indexOf("</main>"));
  const headings = [...main.matchAll(HEADING)];
  return headings.map((heading, position) => {
    const { id = "", name = "" } = heading.groups ?? {};
    const from = heading.index + heading[0].length;
    const text = textOf(main.slice(from, headings[position + 1]?.index));
    return { page, path: `${path}#${id}`, heading: textOf(name), text: text.slice(0, TEXT_LENGTH_MAX) };
  });
}

function textOf(html: string): string {
  return html
    .replace(/<(pre|button|fieldset)\b.*?<\/\1>/gs, " ")
    .replace(/<\/?(code|a|strong|em)\b[^>]*>/g, "")
    .replace(/<[^>]*>/g, " ")
    .replace(/&(amp|lt|gt|quot|#39);/g, (entity) => ENTITIES.get(entity) ?? entity)
    .replace(/\s+/g, " ")
    .trim();
}
