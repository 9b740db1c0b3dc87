import { expect, it } from "vitest";
import { bindingsApart, shardFaults, sharedResources } from "../../scripts/environments.mjs";
import { findViolations } from "../../scripts/rules.mjs";

/** Which folders may import which in the project below. */
const FOLDERS = new Map([
  ["http", ["generations", "keys", "users"]],
  ["users", ["db"]],
  ["generations", ["account", "providers", "images"]],
  ["account", ["catalogue"]],
  ["keys", ["db"]],
  ["catalogue", []],
  ["images", []],
  ["providers", []],
  ["db", []],
]);

/** A project without violations. Each case below changes one thing in it. */
const CLEAN = {
  "src/index.ts": 'import "hono"; import "./http/app.ts"; export type { Level } from "./log.ts";',
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
  "scripts/tool.mjs": `const short = () => {${"\n".repeat(69)}};`,
  "test/all.test.ts": 'it.each([1])("works", () => {}); [].only;',
  "package.json": '{"dependencies":{"hono":"4.13.19"},"devDependencies":{"pool":"npm:@scope/plugin@1.5.0"}}',
  "package-lock.json": '{"packages":{"node_modules/hono":{"version":"4.13.19"}}}',
};

const violationsWith = (change: Record<string, string>) =>
  findViolations(new Map(Object.entries({ ...CLEAN, ...change })), FOLDERS);

/** A file of the clean project with a line added. */
const plus = (path: keyof typeof CLEAN, line: string) => ({ [path]: `${CLEAN[path]}\n${line}` });

it("finds nothing in a clean project", () => {
  expect(violationsWith({})).toEqual([]);
});

it.each([
  [
    "a folder that it may not import",
    plus("src/account/ledger.ts", 'import "../generations/run.ts";'),
    "account must not import generations",
  ],
  [
    "a type from such a folder",
    plus("src/images/format.ts", 'type R = import("../db/schema.ts").R;'),
    "images must not import db",
  ],
  [
    "such a folder, re-exported",
    plus("src/catalogue/models.ts", 'export * from "../db/schema.ts";'),
    "catalogue must not import db",
  ],
  [
    "such a folder, dynamically",
    plus("src/keys/format.ts", 'await import("../images/format.ts");'),
    "keys must not import images",
  ],
  [
    "a folder from a file directly in src",
    plus("src/log.ts", 'import "./db/schema.ts";'),
    "src/log.ts: a file directly in src must not import db",
  ],
  ["the entry", plus("src/http/app.ts", 'import "../index.ts";'), "must not import the entry"],
  ["hono outside http", plus("src/generations/run.ts", 'import "hono/jsx";'), "must not import hono"],
  ["drizzle in http", plus("src/http/app.ts", 'import "drizzle-orm";'), "must not import drizzle-orm"],
])("reports an import of %s", (_, change, message) => {
  expect(violationsWith(change).join("\n")).toContain(message);
});

it.each([
  [
    "a definite assignment",
    "src/http/app.ts",
    "let x!: string;",
    "src/http/app.ts:2: a definite assignment (!)",
  ],
  ["a cast", "src/http/app.ts", "x as unknown;", "src/http/app.ts:2: a cast (as)"],
  ["an old-style cast", "src/http/app.ts", "<string>x;", "src/http/app.ts:2: a cast"],
  [
    "the clock in a pure file",
    "src/account/ledger.ts",
    "Date.now();",
    "src/account/ledger.ts:2: Date.now() in a pure file",
  ],
  [
    "randomness in a pure file",
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
    "a record that is looked up by string",
    "src/log.ts",
    "const T: Readonly<Record<string, string>> = { a: 'b' }; T[name]; T['a'];",
    "src/log.ts:2: a look-up by string in a record; use a Map",
  ],
  ["a skipped test", "test/all.test.ts", 'it.skip("", () => {});', "test/all.test.ts:2: it.skip"],
  ["a focused test", "test/all.test.ts", 'describe.only("", () => {});', "test/all.test.ts:2: describe.only"],
  ["an unwritten test", "test/all.test.ts", 'test.todo("");', "test/all.test.ts:2: test.todo"],
  [
    "a skipped table",
    "test/all.test.ts",
    'it.concurrent.skip.each([1])("", () => {});',
    "test/all.test.ts:2: it.concurrent.skip",
  ],
] as const)("reports %s", (_, path, line, message) => {
  expect(violationsWith(plus(path, line))).toContain(message);
});

it.each([
  [
    "a folder without a rule",
    { "src/attic/box.ts": "" },
    "src/attic/box.ts: scripts/rules.mjs does not list src/attic",
  ],
  [
    "a permission that no file uses",
    { "src/keys/format.ts": "" },
    "scripts/rules.mjs: lets keys import db, which no file does",
  ],
  [
    "a function of 71 lines",
    plus("scripts/tool.mjs", `() => {${"\n".repeat(70)}};`),
    "scripts/tool.mjs:71: a function of 71 lines; at most 70",
  ],
  [
    "a version range",
    { "package.json": '{"dependencies":{"hono":"^4.13.19"}}' },
    "package.json: hono is not an exact version: ^4.13.19",
  ],
  [
    "a tag as a version",
    { "package.json": '{"devDependencies":{"pool":"npm:@scope/plugin@latest"}}' },
    "package.json: pool is not an exact version: npm:@scope/plugin@latest",
  ],
  [
    "resolved URLs",
    { "package-lock.json": '{"packages":{"x":{"resolved":"https://registry/"}}}' },
    'package-lock.json: has "resolved" fields',
  ],
])("reports %s", (_, change, message) => {
  expect(violationsWith(change)).toEqual([message]);
});

it("lists the resources that development and production share", () => {
  const environment = (suffix: string) => ({
    name: `hub${suffix}`,
    d1_databases: [{ binding: "DB", database_name: `data${suffix}` }],
    r2_buckets: [{ binding: "IMAGES", bucket_name: `images${suffix}` }],
    queues: {
      producers: [{ queue: `work${suffix}` }],
      consumers: [{ queue: `work${suffix}`, dead_letter_queue: `dead${suffix}` }, { queue: `dead${suffix}` }],
    },
  });
  expect(sharedResources(environment("-dev"), environment(""))).toEqual([]);
  expect(sharedResources(environment(""), environment(""))).toEqual([
    ...["Worker hub", "D1 database data", "R2 bucket images", "queue work", "queue dead"],
  ]);
  const deadInBoth = { ...environment("-dev"), queues: { consumers: environment("").queues.consumers } };
  expect(sharedResources(deadInBoth, environment(""))).toEqual(["queue work", "queue dead"]);
  const limited = { ...environment("-dev"), ratelimits: [{ name: "GUARD", namespace_id: "1" }] };
  const guarded = { ...environment(""), ratelimits: [{ name: "GUARD", namespace_id: "1" }] };
  expect(sharedResources(limited, guarded)).toEqual(["rate limit 1"]);
});

it("lists the bindings that only one of staging and production has", () => {
  const staging = {
    r2_buckets: [{ binding: "IMAGES", bucket_name: "a" }],
    durable_objects: { bindings: [{ name: "ACCOUNT", class_name: "Account" }] },
    queues: { producers: [{ binding: "GENERATIONS", queue: "a" }] },
  };
  const production = {
    ...staging,
    queues: { producers: [...staging.queues.producers, { binding: "GENERATIONS_2", queue: "b" }] },
  };
  expect(bindingsApart(staging, production)).toEqual([]);
  expect(bindingsApart(staging, { ...production, ai: { binding: "AI" } })).toEqual(["AI"]);
  expect(bindingsApart({ ...staging, ratelimits: [{ name: "GUARD" }] }, production)).toEqual(["GUARD"]);
  expect(bindingsApart(staging, { ...production, durable_objects: { bindings: [] } })).toEqual(["ACCOUNT"]);
});

it("lists the dates of LOG_SHARDS whose database is not bound", () => {
  const d1_databases = ["DB", "LOG", "LOG_2"].map((binding) => ({ binding }));
  expect(shardFaults({ d1_databases })).toEqual([]);
  expect(shardFaults({ d1_databases, vars: { LOG_SHARDS: "2027-03-01" } })).toEqual([]);
  expect(shardFaults({ d1_databases, vars: { LOG_SHARDS: "2027-03-01, 2027-09-01" } })).toEqual([
    "LOG_SHARDS begins LOG_3 on 2027-09-01, which is not bound.",
  ]);
});
