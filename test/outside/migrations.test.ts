import { describe, expect, it } from "vitest";
import { migrationFaults } from "../../scripts/migrations.mjs";

const FIRST =
  "CREATE TABLE `generations` (`id` text NOT NULL) WITHOUT ROWID;\n--> statement-breakpoint\n" +
  "CREATE TABLE `credit_entries` (`seq` integer NOT NULL) WITHOUT ROWID;";

const WITHOUT_ROWID = ["generations", "credit_entries"];

describe("migrationFaults", () => {
  it.each<[string, string, string[]]>([
    ["a column is added", "ALTER TABLE `users` ADD `phone` text;", []],
    ["a table and an index are made", "CREATE TABLE `a` (`id` text);\nCREATE INDEX `b` ON `a` (`id`);", []],
    ["an index is dropped", "DROP INDEX `b`;", []],
    [
      "a table is dropped",
      "DROP TABLE `users`;",
      ["0001.sql: DROP TABLE is refused: the release before still needs what is there"],
    ],
    [
      "a column is dropped",
      "ALTER TABLE `users` DROP COLUMN `name`;",
      ["0001.sql: DROP COLUMN is refused: the release before still needs what is there"],
    ],
    [
      "a column is renamed",
      "ALTER TABLE `users` RENAME COLUMN `name` TO `title`;",
      ["0001.sql: RENAME is refused: the release before still needs what is there"],
    ],
    [
      "a table of the log is rebuilt",
      "CREATE TABLE `generations` (`id` text NOT NULL);",
      ["0001.sql: generations must be WITHOUT ROWID: add it by hand"],
    ],
  ])("when %s", (_, sql, faults) => {
    expect(
      migrationFaults(
        new Map([
          ["0000.sql", FIRST],
          ["0001.sql", sql],
        ]),
        WITHOUT_ROWID,
      ),
    ).toEqual(faults);
  });

  it("when a table of the log is missing", () => {
    expect(migrationFaults(new Map(), WITHOUT_ROWID)).toEqual([
      "no migration makes generations",
      "no migration makes credit_entries",
    ]);
  });
});
