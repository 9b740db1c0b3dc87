/**
 * The source rules that neither Biome nor knip can check: import directions between the folders of src, which folders
 * may use a library, pure files, casts, and the length of functions. Biome checks `any`, `!` and import cycles; knip
 * finds unused files, exports and dependencies. Run by `npm run check`; {@link findViolations} is pure, for its tests.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAst } from "vitest/node";

const ENTRY = "src/index.ts";

/**
 * What each folder of src may import. Files directly in src may be imported by all folders and import none of them. An
 * entry that no file uses is a violation too.
 */
const FOLDERS = new Map([
  [
    "pages",
    [
      ...["billing", "auth", "http", "generations", "references", "users", "account", "keys", "catalogue"],
      ...["images", "dispatch", "watch"],
    ],
  ],
  ["jobs", ["account", "auth", "generations", "users", "watch"]],
  ["watch", ["account", "db", "dispatch", "generations", "users", "webhooks"]],
  ["auth", ["db", "users"]],
  ["users", ["db"]],
  ["mcp", ["http", "generations", "references", "account", "keys", "catalogue"]],
  ["billing", ["db"]],
  [
    "http",
    [
      ...["billing", "generations", "references", "users", "account", "keys", "catalogue", "dispatch"],
      ...["images", "watch"],
    ],
  ],
  ["generations", ["references", "account", "catalogue", "dispatch", "images", "providers", "db"]],
  ["references", ["account", "images"]],
  ["dispatch", ["catalogue", "providers"]],
  ["account", ["catalogue", "db", "images", "webhooks"]],
  ["webhooks", []],
  ["keys", ["db"]],
  ["catalogue", []],
  ["images", []],
  ["providers", ["catalogue", "images"]],
  ["db", ["images"]],
]);

/** Libraries that only some folders may import. */
const LIBRARIES = new Map([
  ["hono", ["src/http/", "src/pages/", "src/mcp/", ENTRY]],
  ["@modelcontextprotocol/server", ["src/mcp/"]],
  ["better-auth", ["src/auth/"]],
  ["@better-auth/passkey", ["src/auth/"]],
  ["stripe", ["src/billing/"]],
  [
    "drizzle-orm",
    [
      ...[
        "src/db/",
        "src/billing/",
        "src/keys/",
        "src/account/",
        "src/generations/",
        "src/auth/",
        "src/users/",
      ],
      "src/watch/",
    ],
  ],
]);

/** Pure files use no clock and no randomness: both are arguments. */
const PURE =
  /^src\/(catalogue\/.*|account\/(ledger|lifecycle)\.ts|billing\/(packs|events)\.ts|images\/format\.ts|references\/addresses\.ts|webhooks\/schedule\.ts|watch\/alerts\.ts|keys\/format\.ts)$/;

const SKIPS = new Set(["skip", "only", "todo", "skipIf", "runIf", "fails"]);
const TEST_FUNCTIONS = new Set(["it", "test", "describe", "suite", "bench"]);
const FUNCTION_LINES_MAX = 70;
const EXACT_VERSION = /^(npm:(@[^/]+\/)?[^@]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;

/**
 * @typedef {{ type: string, start: number } & Record<string, unknown>} Node
 * @typedef {ReadonlyMap<string, readonly string[]>} Folders
 * @typedef {{ path: string, imports: string[], problems: string[] }} Module
 */

/**
 * Returns one line for each violation.
 * @param {ReadonlyMap<string, string>} files text by path relative to the project's root: the code of src, test, scripts
 * and public, package.json and package-lock.json
 * @param {Folders} [folders]
 * @returns {string[]}
 */
export function findViolations(files, folders = FOLDERS) {
  const modules = [...files].filter(([path]) => /\.(ts|tsx|mjs|js)$/.test(path) && !path.endsWith(".d.ts"));
  const read = modules.map(([path, text]) => readModule(path, text));
  return [
    ...read.flatMap(({ problems }) => problems),
    ...read.flatMap((module) => checkImports(module, folders)),
    ...findUnusedPermissions(read, folders),
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
    const problem = problemOf(node, path) ?? lookUpOf(node, tables) ?? lengthOf(node, path, text);
    if (problem) module.problems.push(`${path}:${lineCount(text.slice(0, node.start))}: ${problem}`);
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
 * Biome's rule for this counts only some of the lines: it misses those of JSX and of nested calls.
 * @param {Node} node
 * @param {string} path
 * @param {string} text
 */
function lengthOf(node, path, text) {
  if (path.startsWith("test/")) return undefined;
  if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) return undefined;
  const lines = lineCount(text.slice(node.start, Number(node["end"])));
  return lines > FUNCTION_LINES_MAX
    ? `a function of ${lines} lines; at most ${FUNCTION_LINES_MAX}`
    : undefined;
}

/** @param {string} text */
function lineCount(text) {
  return text.split("\n").length;
}

/**
 * The variables declared as `Record<string, …>`. Looking up "constructor" in one of them finds a function.
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
  return isTable && !isFixed ? "a look-up by string in a record; use a Map" : undefined;
}

/**
 * Casts, which hide errors from the compiler. Biome reports `any` and `x!`.
 * @param {Node} node
 */
function silencing(node) {
  if (node["definite"] === true) return "a definite assignment (!)";
  if (node.type === "TSTypeAssertion") return "a cast";
  if (node.type !== "TSAsExpression") return undefined;
  const type = node["typeAnnotation"];
  const isConst = isNode(type) && type.type === "TSTypeReference" && nameOf(type["typeName"]) === "const";
  return isConst ? undefined : "a cast (as)";
}

/**
 * @param {Module} module
 * @param {Folders} folders
 */
function checkImports({ path, imports }, folders) {
  if (!path.startsWith("src/") || path === ENTRY) return [];
  const from = folderOf(path);
  const allowed = from === undefined ? [] : folders.get(from);
  if (allowed === undefined) return [`${path}: scripts/rules.mjs does not list src/${from}`];
  return imports.flatMap((target) => {
    for (const [library, places] of LIBRARIES) {
      const isAllowed = places.some((place) => path.startsWith(place));
      if ((target === library || target.startsWith(`${library}/`)) && !isAllowed)
        return [`${path}: must not import ${library}`];
    }
    if (target === ENTRY) return [`${path}: must not import the entry`];
    const to = target.startsWith("src/") ? folderOf(target) : undefined;
    if (to === undefined || to === from || allowed.includes(to)) return [];
    return [`${path}: ${from ?? "a file directly in src"} must not import ${to}`];
  });
}

/**
 * @param {Module[]} modules
 * @param {Folders} folders
 */
function findUnusedPermissions(modules, folders) {
  const used = new Set(
    modules.flatMap(({ path, imports }) => imports.map((target) => `${folderOf(path)} ${folderOf(target)}`)),
  );
  return [...folders].flatMap(([from, allowed]) =>
    allowed
      .filter((to) => !used.has(`${from} ${to}`))
      .map((to) => `scripts/rules.mjs: lets ${from} import ${to}, which no file does`),
  );
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
    // The registry that a package comes from differs between machines.
    ...(locked ? ['package-lock.json: has "resolved" fields'] : []),
  ];
}

/**
 * The folder of src that holds a file, or undefined for files directly in src or outside it.
 * @param {string} path
 */
function folderOf(path) {
  const [root, folder, file] = path.split("/");
  return root === "src" && file !== undefined ? folder : undefined;
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
 * Returns `a.b.c` for nested member expressions, ignoring calls in between.
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
  const paths = ["src", "test", "scripts", "public"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|tsx|mjs|js)$/.test(entry.name))
      .map((entry) => relative(root, join(entry.parentPath, entry.name))),
  );
  for (const path of [...paths, "package.json", "package-lock.json"]) {
    files.set(path.replaceAll("\\", "/"), readFileSync(join(root, path), "utf8"));
  }
  return files;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = findViolations(readProject());
  for (const violation of violations) console.error(violation);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
