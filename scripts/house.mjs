/**
 * The rules of this house that no other tool knows: which room may import which, where libraries and clocks may appear,
 * and what has no place in src at all. Run by `npm run check`; {@link findViolations} is pure, for its tests.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAst } from "vitest/node";

const ENTRY = "src/index.ts";

/** What each room, a folder of src, may import. Files directly in src belong to no room and may be imported by all. */
const ROOMS = new Map([
  ["pages", ["auth", "users", "http", "generations", "account", "keys", "catalogue", "images", "db"]],
  ["auth", ["db", "users"]],
  ["users", ["account", "db"]],
  ["http", ["generations", "users", "account", "keys", "catalogue", "dispatch", "images", "db"]],
  ["generations", ["account", "catalogue", "dispatch", "images", "providers", "db"]],
  ["dispatch", ["catalogue", "providers"]],
  ["account", ["catalogue", "db", "images"]],
  ["keys", ["db"]],
  ["catalogue", []],
  ["images", []],
  ["providers", ["catalogue"]],
  ["db", ["images"]],
]);

/** Libraries that only some places may know. */
const LIBRARIES = new Map([
  ["hono", ["src/http/", "src/pages/", ENTRY]],
  ["better-auth", ["src/auth/"]],
  ["drizzle-orm", ["src/db/", "src/keys/", "src/account/", "src/generations/", "src/auth/", "src/users/"]],
]);

/** Rules without clock or chance: time and randomness are arguments. */
const PURE = /^src\/(catalogue\/.*|account\/(ledger|lifecycle)\.ts|images\/format\.ts|keys\/format\.ts)$/;

const SKIPS = new Set(["skip", "only", "todo", "skipIf", "runIf", "fails"]);
const TEST_FUNCTIONS = new Set(["it", "test", "describe", "suite", "bench"]);
const EXACT_VERSION = /^(npm:(@[^/]+\/)?[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;

/**
 * @typedef {{ type: string, start: number } & Record<string, unknown>} Node
 * @typedef {{ path: string, imports: string[], problems: string[] }} Module
 */

/**
 * Everything that breaks a rule, one line each; nothing when all is well.
 * @param {ReadonlyMap<string, string>} files text by path from the project's directory: the TypeScript of src and test,
 * what else may import from src, package.json and package-lock.json
 * @returns {string[]}
 */
export function findViolations(files) {
  const modules = [...files].filter(([path]) => /\.(ts|tsx|mjs)$/.test(path) && !path.endsWith(".d.ts"));
  const read = modules.map(([path, text]) => readModule(path, text));
  return [
    ...read.flatMap(({ problems }) => problems),
    ...read.flatMap(checkArrows),
    ...findDead(read),
    ...findCycles(read),
    ...checkPackages(files),
  ];
}

/**
 * @param {string} path
 * @param {string} text
 * @returns {Module}
 */
function readModule(path, text) {
  /** @type {Module} */
  const module = { path, imports: [], problems: [] };
  const lang = path.endsWith("tsx") ? "tsx" : path.endsWith("ts") ? "ts" : "js";
  const nodes = [...nodesOf(parseAst(text, { lang }))];
  const tables = path.startsWith("src/") ? tablesIn(nodes, text) : new Set();
  for (const node of nodes) {
    const source = importedBy(node);
    if (source !== undefined)
      module.imports.push(source.startsWith(".") ? posix.join(path, "..", source) : source);
    const problem = problemOf(node, path) ?? lookUpOf(node, tables);
    if (problem) module.problems.push(`${path}:${text.slice(0, node.start).split("\n").length}: ${problem}`);
  }
  return module;
}

/**
 * @param {Node} node
 * @param {string} path
 */
function problemOf(node, path) {
  if (path.startsWith("src/")) {
    const silenced = silencing(node);
    if (silenced) return silenced;
  }
  if (PURE.test(path)) {
    const call = node.type === "CallExpression" ? memberName(node["callee"]) : undefined;
    if (call === "Date.now" || call === "Math.random") return `${call}() in a pure file`;
    const made = node.type === "NewExpression" && nameOf(node["callee"]) === "Date";
    if (made && Array.isArray(node["arguments"]) && node["arguments"].length === 0)
      return "new Date() in a pure file";
  }
  if (path.startsWith("test/") && node.type === "MemberExpression") {
    const [first, ...rest] = (memberName(node) ?? "").split(".");
    if (first && TEST_FUNCTIONS.has(first) && rest.some((part) => SKIPS.has(part)))
      return `${first}.${rest.join(".")}`;
  }
  return undefined;
}

/**
 * The variables that are declared as `Record<string, …>`, from which every string gets an answer: `constructor` too.
 * @param {Node[]} nodes
 * @param {string} text
 */
function tablesIn(nodes, text) {
  const tables = new Set();
  for (const { type, id } of nodes) {
    if (type !== "VariableDeclarator" || !isNode(id)) continue;
    const annotation = id["typeAnnotation"];
    if (!isNode(annotation)) continue;
    if (/Record<string,/.test(text.slice(annotation.start, Number(annotation["end"]))))
      tables.add(id["name"]);
  }
  return tables;
}

/**
 * @param {Node} node
 * @param {Set<unknown>} tables
 */
function lookUpOf(node, tables) {
  if (node.type !== "MemberExpression" || node["computed"] !== true) return undefined;
  const { object, property } = node;
  const isTable = isNode(object) && object.type === "Identifier" && tables.has(object["name"]);
  const isFixed = isNode(property) && property.type === "Literal";
  return isTable && !isFixed ? "a table of strings that is no Map" : undefined;
}

/**
 * The ways of telling the compiler to look away.
 * @param {Node} node
 */
function silencing(node) {
  if (node.type === "TSAnyKeyword") return "any";
  if (node.type === "TSNonNullExpression" || node["definite"] === true) return "non-null !";
  if (node.type === "TSTypeAssertion") return "a cast";
  if (node.type !== "TSAsExpression") return undefined;
  const type = node["typeAnnotation"];
  const isConst = isNode(type) && type.type === "TSTypeReference" && nameOf(type["typeName"]) === "const";
  return isConst ? undefined : "a cast (as)";
}

/** @param {Module} module */
function checkArrows({ path, imports }) {
  if (!path.startsWith("src/") || path === ENTRY) return [];
  const from = roomOf(path);
  const allowed = from === undefined ? [] : ROOMS.get(from);
  if (allowed === undefined) return [`${path}: src/${from} is not a room of this house`];
  return imports.flatMap((target) => {
    for (const [library, places] of LIBRARIES) {
      const known = places.some((place) => path.startsWith(place));
      if ((target === library || target.startsWith(`${library}/`)) && !known)
        return [`${path}: must not know ${library}`];
    }
    if (target === ENTRY) return [`${path}: imports the entry`];
    const to = target.startsWith("src/") ? roomOf(target) : undefined;
    if (to === undefined || to === from || allowed.includes(to)) return [];
    return [`${path}: ${from ?? "a file that every room imports"} must not import ${to}`];
  });
}

/** @param {Module[]} modules */
function findDead(modules) {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const reached = new Set(
    modules
      .map(({ path }) => path)
      .filter((path) => !/^(src|test)\//.test(path))
      .concat(ENTRY),
  );
  for (const path of reached) for (const target of byPath.get(path)?.imports ?? []) reached.add(target);
  return modules
    .filter(({ path }) => path.startsWith("src/") && !reached.has(path))
    .map(({ path }) => `${path}: nothing that runs imports it`);
}

/** @param {Module[]} modules */
function findCycles(modules) {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  /** @type {Set<string>} */
  const done = new Set();
  /** @type {string[]} */
  const found = [];
  /** @param {string} path @param {string[]} trail */
  const visit = (path, trail) => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(`a cycle of imports: ${[...trail.slice(at), path].join(" → ")}`);
    if (at >= 0 || done.has(path)) return;
    for (const target of byPath.get(path)?.imports ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const { path } of modules) visit(path, []);
  return found;
}

/** @param {ReadonlyMap<string, string>} files */
function checkPackages(files) {
  const manifest = JSON.parse(files.get("package.json") ?? "{}");
  /** @type {[string, unknown][]} */
  const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  const loose = versions.filter(([, version]) => !EXACT_VERSION.test(String(version)));
  const locked = (files.get("package-lock.json") ?? "").includes('"resolved"');
  return [
    ...loose.map(([name, version]) => `package.json: ${name} is not an exact version: ${version}`),
    // Where a package was fetched from is each machine's own matter.
    ...(locked ? ['package-lock.json: has "resolved" fields'] : []),
  ];
}

/**
 * @param {string} path of a file in src
 * @returns {string | undefined} undefined for a file directly in src
 */
function roomOf(path) {
  const [, room, file] = path.split("/");
  return file === undefined ? undefined : room;
}

/** @param {Node} node */
function importedBy(node) {
  const isImport = /^(Import(Declaration|Expression)|Export(Named|All)Declaration|TSImportType)$/.test(
    node.type,
  );
  const source = isImport ? node["source"] : undefined;
  return isNode(source) && typeof source["value"] === "string" ? source["value"] : undefined;
}

/** @param {unknown} root @returns {Generator<Node>} */
function* nodesOf(root) {
  if (isNode(root)) yield root;
  if (typeof root === "object" && root !== null)
    for (const value of Object.values(root)) yield* nodesOf(value);
}

/** @param {unknown} value @returns {value is Node} */
function isNode(value) {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** @param {unknown} node */
function nameOf(node) {
  return isNode(node) && typeof node["name"] === "string" ? node["name"] : undefined;
}

/**
 * `a.b.c` of nested member expressions; calls in between are looked through.
 * @param {unknown} node
 * @returns {string | undefined}
 */
function memberName(node) {
  if (!isNode(node)) return undefined;
  if (node.type === "CallExpression") return memberName(node["callee"]);
  if (node.type !== "MemberExpression") return nameOf(node);
  return `${memberName(node["object"])}.${nameOf(node["property"])}`;
}

function readProject() {
  const root = join(fileURLToPath(import.meta.url), "../..");
  /** @type {Map<string, string>} */
  const files = new Map();
  const folders = ["src", "test", "scripts"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs)$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name))),
  );
  const top = readdirSync(root).filter((name) => /\.(ts|mjs)$/.test(name));
  for (const path of [...folders, ...top, "package.json", "package-lock.json"]) {
    files.set(path.replaceAll("\\", "/"), readFileSync(join(root, path), "utf8"));
  }
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = findViolations(readProject());
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
