import { expect, it } from "vitest";
import { sharedResources } from "../../scripts/environments.mjs";
import { findViolations } from "../../scripts/house.mjs";

/** A house in order, with every room; each case below changes one thing in it. */
const CLEAN = {
  "src/index.ts": 'import "hono"; import "./http/app.ts"; export type { Env as E } from "./log.ts";',
  "src/log.ts": "export const levels = ['info'] as const;",
  "src/http/app.ts":
    'import { Hono as H } from "hono/tiny"; import "../generations/run.ts"; import "../keys/format.ts"; import "../users/users.ts";',
  "src/users/users.ts": 'import "drizzle-orm"; import "../db/schema.ts"; import * as z from "zod";',
  "src/generations/run.ts":
    'import "../log.ts"; import "../account/ledger.ts"; import "../providers/provider.ts"; const later = () => import("../images/format.ts");',
  "src/account/ledger.ts":
    'import type { Model } from "../catalogue/models.ts"; export const at = (now: number) => new Date(now);',
  "src/catalogue/models.ts":
    "export type Model = { id: string } & { many?: string }; // Not as any, not x!.y",
  "src/keys/format.ts": 'import "../db/schema.ts";',
  "src/images/format.ts": "export const isPng = (first: unknown) => first !== 'Date.now() as any';",
  "src/providers/provider.ts": "export const when = () => Date.now();",
  "src/db/schema.ts": 'import "drizzle-orm/sqlite-core";',
  "test/all.test.ts": 'it.each([1])("works", () => {}); [].only;',
  "package.json": '{"dependencies":{"hono":"4.13.19"},"devDependencies":{"pool":"npm:@scope/plugin@1.5.0"}}',
  "package-lock.json": '{"packages":{"node_modules/hono":{"version":"4.13.19"}}}',
};

const violationsWith = (change: Record<string, string>) =>
  findViolations(new Map(Object.entries({ ...CLEAN, ...change })));

/** The clean file with a line added. */
const plus = (path: keyof typeof CLEAN, line: string) => ({ [path]: `${CLEAN[path]}\n${line}` });

it("has nothing to say of a house in order", () => {
  expect(violationsWith({})).toEqual([]);
});

it.each([
  [
    "a room above",
    plus("src/account/ledger.ts", 'import "../generations/run.ts";'),
    "account must not import generations",
  ],
  [
    "a type of a room above",
    plus("src/images/format.ts", 'type R = import("../db/schema.ts").R;'),
    "images must not import db",
  ],
  [
    "a room through export from",
    plus("src/catalogue/models.ts", 'export * from "../db/schema.ts";'),
    "catalogue must not import db",
  ],
  [
    "a room, dynamically",
    plus("src/keys/format.ts", 'await import("../images/format.ts");'),
    "keys must not import images",
  ],
  [
    "a room from a shared file",
    plus("src/log.ts", 'import "./db/schema.ts";'),
    "every room imports must not import db",
  ],
  ["the entry", plus("src/http/app.ts", 'import "../index.ts";'), "imports the entry"],
  ["hono beyond the door", plus("src/generations/run.ts", 'import "hono/jsx";'), "must not know hono"],
  [
    "drizzle at the public door",
    plus("src/http/app.ts", 'import "drizzle-orm";'),
    "must not know drizzle-orm",
  ],
])("sees an import of %s", (_, change, message) => {
  expect(violationsWith(change).join("\n")).toContain(message);
});

it.each([
  ["any", "src/log.ts", "export let x: any;", "src/log.ts:2: any"],
  ["any, deep in a type", "src/log.ts", "type M = Map<string, any[]>;", "src/log.ts:2: any"],
  ["a non-null mark", "src/http/app.ts", "levels[0]!.length;", "src/http/app.ts:2: non-null !"],
  ["a definite mark", "src/http/app.ts", "let x!: string;", "src/http/app.ts:2: non-null !"],
  ["a cast", "src/http/app.ts", "x as unknown;", "src/http/app.ts:2: a cast (as)"],
  ["an old-style cast", "src/http/app.ts", "<string>x;", "src/http/app.ts:2: a cast"],
  [
    "the clock in a pure file",
    "src/account/ledger.ts",
    "Date.now();",
    "src/account/ledger.ts:2: Date.now() in a pure file",
  ],
  [
    "chance in a pure file",
    "src/catalogue/models.ts",
    "Math.random();",
    "src/catalogue/models.ts:2: Math.random() in a pure file",
  ],
  [
    "the date in a pure file",
    "src/keys/format.ts",
    "new Date();",
    "src/keys/format.ts:2: new Date() in a pure file",
  ],
  [
    "a table that knows constructor",
    "src/log.ts",
    "const T: Readonly<Record<string, string>> = { a: 'b' }; T[name]; T['a'];",
    "src/log.ts:2: a table of strings that is no Map",
  ],
  ["a skipped test", "test/all.test.ts", 'it.skip("", () => {});', "test/all.test.ts:2: it.skip"],
  ["a test alone", "test/all.test.ts", 'describe.only("", () => {});', "test/all.test.ts:2: describe.only"],
  ["a test to be written", "test/all.test.ts", 'test.todo("");', "test/all.test.ts:2: test.todo"],
  [
    "a skipped table",
    "test/all.test.ts",
    'it.concurrent.skip.each([1])("", () => {});',
    "test/all.test.ts:2: it.concurrent.skip",
  ],
] as const)("sees %s", (_, path, line, message) => {
  expect(violationsWith(plus(path, line))).toContain(message);
});

it.each([
  ["a file nothing imports", { "src/http/old.ts": "" }, "src/http/old.ts: nothing that runs imports it"],
  [
    "a file that only tests import",
    { "src/old.ts": "", "test/old.test.ts": 'import "../src/old.ts";' },
    "src/old.ts: nothing that runs imports it",
  ],
  [
    "an unknown room",
    { ...plus("src/index.ts", 'import "./attic/box.ts";'), "src/attic/box.ts": "" },
    "src/attic/box.ts: src/attic is not a room of this house",
  ],
  [
    "a cycle",
    {
      ...plus("src/db/schema.ts", 'import "./b.ts";'),
      "src/db/b.ts": 'import type { A } from "./schema.ts";',
    },
    "a cycle of imports: src/db/schema.ts → src/db/b.ts → src/db/schema.ts",
  ],
  [
    "a loose version",
    { "package.json": '{"dependencies":{"hono":"^4.13.19"}}' },
    "package.json: hono is not an exact version: ^4.13.19",
  ],
  [
    "a tag for a version",
    { "package.json": '{"devDependencies":{"pool":"npm:@scope/plugin@latest"}}' },
    "package.json: pool is not an exact version: npm:@scope/plugin@latest",
  ],
  [
    "resolved addresses",
    { "package-lock.json": '{"packages":{"x":{"resolved":"https://registry/"}}}' },
    'package-lock.json: has "resolved" fields',
  ],
])("sees %s", (_, change, message) => {
  expect(violationsWith(change)).toEqual([message]);
});

it("names each resource that development and production share", () => {
  const environment = (suffix: string) => ({
    name: `hub${suffix}`,
    d1_databases: [{ database_name: `data${suffix}` }],
    r2_buckets: [{ bucket_name: `images${suffix}` }],
    queues: {
      producers: [{ queue: `work${suffix}` }],
      consumers: [{ queue: `work${suffix}`, dead_letter_queue: `dead${suffix}` }],
    },
  });
  expect(sharedResources(environment("-dev"), environment(""))).toEqual([]);
  expect(sharedResources(environment(""), environment(""))).toEqual([
    ...["Worker hub", "D1 database data", "R2 bucket images", "queue work", "queue dead"],
  ]);
  const deadInBoth = { ...environment("-dev"), queues: { consumers: environment("").queues.consumers } };
  expect(sharedResources(deadInBoth, environment(""))).toEqual(["queue work", "queue dead"]);
});
