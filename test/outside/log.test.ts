import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { log } from "../../src/log.ts";

const root = join(import.meta.dirname, "../..");
const operations = readFileSync(join(root, "docs/operations.md"), "utf8");

const sources = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
  .filter(({ name }) => /\.tsx?$/.test(name) && name !== "log.ts")
  .map(({ parentPath, name }) => readFileSync(join(parentPath, name), "utf8"));

afterEach(() => {
  vi.restoreAllMocks();
});

/** The level at which an event is logged, and its line. */
function logged(event: string): { level: string; line: unknown }[] {
  const lines: { level: string; line: unknown }[] = [];
  for (const level of ["log", "warn", "error"] as const)
    vi.spyOn(console, level).mockImplementation((line) => lines.push({ level, line: JSON.parse(line) }));
  log(event, { id: 1 });
  return lines;
}

it.each([
  ["request", "log"],
  ["lease_lapsed", "warn"],
  ["generation_broken", "error"],
  ["constructor", "log"],
])("logs %s as %s", (event, level) => {
  expect(logged(event)).toEqual([{ level, line: { event, id: 1 } }]);
});

/** The rows of the table of events in the operator's manual, by event. */
const documented = new Map(
  [...operations.matchAll(/^\| ((?:`\w+` ?)+) \| (log|warn|error) \|/gm)].flatMap(([, events = "", level]) =>
    events
      .split(" ")
      .filter((event) => event !== "")
      .map((event) => [event.replaceAll("`", ""), level] as const),
  ),
);

it("the manual has every event that the source names, and no other", () => {
  const named = sources.flatMap((text) =>
    [...text.matchAll(/(?<![\w.#])log\(\s*"(\w+)"/g)].map(([, event]) => event),
  );
  const computed = [
    ...["provider_call", "provider_misconfigured", "provider_undelivered"],
    ...["upload_abort_failed", "upload_remove_failed", "alert", "alert_resolved"],
  ];
  expect([...documented.keys()].sort()).toEqual([...new Set([...named, ...computed])].sort());
});

it("the manual has the level of each event", () => {
  for (const [event, level] of documented) expect([event, logged(event)[0]?.level]).toEqual([event, level]);
});

it("the manual says what to do about each event that is an error", () => {
  const watch = operations.slice(
    operations.indexOf("## What to watch"),
    operations.indexOf("## Dead letters"),
  );
  const errors = [...documented].flatMap(([event, level]) => (level === "error" ? [event] : []));
  expect(errors.filter((event) => !watch.includes(`\`${event}\``))).toEqual([]);
});
