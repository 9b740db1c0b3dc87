export type Group = { name: string | null; paragraphs: readonly string[]; items: readonly string[] };

export type Release = {
  id: string;
  name: string;
  /** YYYY-MM-DD; null until the version is released. */
  date: string | null;
  groups: readonly Group[];
};

const RELEASE = /^## \[(?<name>[^\]]+)\](?: - (?<date>\d{4}-\d{2}-\d{2}))?/;
const GROUP = /^### (?<name>.+)$/;
const ITEM = /^- (?<text>.+)$/;

type Draft = { name: string | null; paragraphs: string[]; items: string[] };

/**
 * Reads a changelog in the format of Keep a Changelog, newest release first. The text before the first release is left
 * out, and lines that continue an item or a paragraph are joined.
 */
export function readChangelog(markdown: string): Release[] {
  const releases: (Omit<Release, "groups"> & { groups: Draft[] })[] = [];
  let open: string[] | null = null;
  for (const line of markdown.split("\n")) {
    const release = RELEASE.exec(line)?.groups;
    if (release) {
      const { name = "", date = null } = release;
      const id = name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
      releases.push({ id, name, date, groups: [{ name: null, paragraphs: [], items: [] }] });
    }
    const groups = releases.at(-1)?.groups;
    const group = GROUP.exec(line)?.groups;
    if (group) groups?.push({ name: group["name"] ?? null, paragraphs: [], items: [] });
    const last = groups?.at(-1);
    const item = ITEM.exec(line)?.groups?.["text"];
    if (release || group || line.trim() === "" || last === undefined) open = null;
    else if (item !== undefined) {
      open = last.items;
      open.push(item);
    } else if (open) open.push(`${open.pop()} ${line.trim()}`);
    else {
      open = last.paragraphs;
      open.push(line.trim());
    }
  }
  return releases;
}
