/** Random requests to every operation of an OpenAPI document: valid ones, with a few changes. */
import { pick } from "../service/api.mjs";

/**
 * @typedef {import("../chaos/random.mjs").Random} Random
 * @typedef {{ method: string, path: string, operation: Record<string, unknown> }} Operation
 * @typedef {{ operation: Operation, method: string, path: string, headers: Record<string, string>, body: string | FormData | null }} Request
 * @typedef {{ operator: string, keys: readonly [string, ...string[]] }} Credentials
 */

const METHODS = ["get", "post", "put", "patch", "delete"];

/** JSON texts that break careless readers. */
const ODD_JSON = /** @type {const} */ ([
  ...[
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1.5",
    "1e400",
    "1e-7",
    "9007199254740993",
    "[]",
    "{}",
    "[null]",
    "[[]]",
  ],
  ...[
    '""',
    '" "',
    '"\\u0000"',
    '"\\ud800"',
    '"\\u202e"',
    '"__proto__"',
    '{"__proto__":{"a":1}}',
    '"2026-13-45"',
  ],
  `"${"x".repeat(40_000)}"`,
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
]);

const ODD_TEXTS = /** @type {const} */ ([
  ...[
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "undefined",
    "null",
    "NaN",
    "true",
    "0",
    "-1",
    "1e9",
  ],
  ...[
    "%00",
    "%ff",
    "..%2f..%2fetc",
    "gen_1",
    "'; DROP TABLE users; --",
    "<script>alert(1)</script>",
    "ümlaut",
    "💡",
  ],
  "x".repeat(3_000),
]);

const ODD_NAMES = /** @type {const} */ ([
  "__proto__",
  "constructor",
  "prompt ",
  "PROMPT",
  "toString",
  "a",
  "",
]);

const HEADERS = /** @type {const} */ ([
  ["Idempotency-Key", ["k1", "k2", '"k1"', "", "a b", "x".repeat(255), "x".repeat(256), "__proto__"]],
  [
    "Prefer",
    ["wait=1", "wait=0", "wait=1e9", "respond-async", "wait=1, respond-async", "handling=strict", "="],
  ],
  [
    "X-Test-Scenario",
    ["fail", "refuse", "timeout", "partial=1", "insufficient", "delay=1", "delay=61", "constructor", ","],
  ],
  ["X-Stainless-Retry-Count", ["0", "1", "-1", "99999999", "one"]],
  [
    "Content-Type",
    ["text/plain", "application/json; charset=utf-16", "multipart/form-data", "application/json", "x", ""],
  ],
  ["Content-Encoding", ["gzip", "identity", "br"]],
  ["Accept", ["text/html", "*/*;q=0", "application/xml"]],
  ["Range", ["bytes=0-0", "bytes=9-1", "bytes=-99999999999", "items=1"]],
  ["If-None-Match", ["*", '"x"', "W/"]],
  ["Last-Event-ID", ["0", "-1", "x"]],
  ["Stripe-Signature", ["t=1,v1=00", "t=,v1=", "x".repeat(5_000)]],
  ["Origin", ["null", "https://evil.example"]],
  ["X-Forwarded-For", ["::1", "not an address"]],
]);

/** The bytes of a PNG of one pixel. */
const PIXEL = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  "base64",
);

/**
 * @param {unknown} document
 * @returns {Operation[]}
 */
export function operationsOf(document) {
  return Object.entries(Object(pick(document, "paths"))).flatMap(([path, item]) =>
    METHODS.filter((method) => Reflect.has(Object(item), method)).map((method) => ({
      method: method.toUpperCase(),
      path,
      operation: Object(pick(item, method)),
    })),
  );
}

/**
 * Makes a request of an operation.
 * @param {Operation} operation
 * @param {Random} random
 * @param {Credentials} credentials
 * @param {readonly string[]} ids that earlier responses had
 * @returns {Request}
 */
export function makeRequest(operation, random, credentials, ids) {
  const parameters = /** @type {unknown[]} */ (pick(operation.operation, "parameters") ?? []);
  const path = operation.path.replace(
    /(\w+)\/\{\w+\}/g,
    (_, list) => `${list}/${segment(list, random, ids)}`,
  );
  const method = random.chance(0.97)
    ? operation.method
    : random.pick(["GET", "POST", "PUT", "PATCH", "DELETE"]);
  const { body, contentType } =
    method === "GET" ? { body: null, contentType: null } : makeBody(operation, random);
  /** @type {Record<string, string>} */
  const headers = {};
  const bearer = bearerFor(operation, random, credentials);
  if (bearer !== null) headers["Authorization"] = bearer;
  if (contentType !== null) headers["Content-Type"] = contentType;
  for (const [name, values] of HEADERS) {
    if (random.chance(0.05)) headers[name] = random.pick(values);
  }
  return { operation, method, path: path + queryOf(parameters, random, ids), headers, body };
}

/** What the ids in a list begin with. */
const PREFIXES = new Map(
  [
    ...[
      ["generations", "gen_"],
      ["images", "gen_"],
      ["references", "ref_"],
      ["users", "user_"],
      ["api_keys", "key_"],
    ],
  ].map(([list = "", prefix = ""]) => [list, prefix]),
);

/**
 * A part of a path: mostly an id that fits, so that the operation is reached.
 * @param {string} list @param {Random} random @param {readonly string[]} ids
 */
function segment(list, random, ids) {
  if (random.chance(0.15)) return encodeURI(random.pick(ODD_TEXTS)).replace(/[?#]/g, "");
  const known = ids.filter((id) => id.startsWith(PREFIXES.get(list) ?? "?"));
  return known[random.between(0, Math.max(known.length - 1, 0))] ?? "gpt-image-2";
}

/** @param {Operation} operation @param {Random} random @param {Credentials} credentials */
function bearerFor({ operation }, random, { operator, keys }) {
  if (random.chance(0.03))
    return random.pick([null, "Bearer", "Basic eDp5", "Bearer gih_live_x", `Bearer ${"x".repeat(9_000)}`]);
  const security = JSON.stringify(pick(operation, "security") ?? []);
  if (security.includes("operator")) return `Bearer ${operator}`;
  return security.includes("apiKey") ? `Bearer ${random.pick(keys)}` : null;
}

/**
 * @param {unknown[]} parameters
 * @param {Random} random
 * @param {readonly string[]} ids
 */
function queryOf(parameters, random, ids) {
  const query = new URLSearchParams();
  for (const parameter of parameters) {
    if (pick(parameter, "in") !== "query" || !random.chance(0.4)) continue;
    const name = String(pick(parameter, "name"));
    const values = valuesOf(pick(parameter, "schema"));
    const value =
      random.chance(0.6) && values.length > 0 ? values[random.between(0, values.length - 1)] : undefined;
    query.append(
      name,
      value === undefined ? (ids[0] && random.chance(0.2) ? ids[0] : random.pick(ODD_TEXTS)) : String(value),
    );
    if (random.chance(0.05)) query.append(name, random.pick(ODD_TEXTS));
  }
  if (random.chance(0.03)) query.append(random.pick(ODD_NAMES), "1");
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/**
 * Values of a schema: those that it names, and those at and beyond its limits.
 * @param {unknown} schema
 * @returns {unknown[]}
 */
function valuesOf(schema) {
  const listed = ["enum", "examples"].flatMap((name) => /** @type {unknown[]} */ (pick(schema, name) ?? []));
  const lone = ["default", "example", "const"].flatMap((name) => {
    const value = pick(schema, name);
    return value === undefined ? [] : [value];
  });
  const limits = ["minimum", "maximum"].flatMap((name) => {
    const limit = pick(schema, name);
    return typeof limit === "number" && limit < 1e6 ? [limit - 1, limit, limit + 1] : [];
  });
  const length = pick(schema, "maxLength");
  const texts =
    typeof length === "number" && length < 50_000 ? ["y".repeat(length), "y".repeat(length + 1)] : [];
  const nested = ["anyOf", "oneOf"].flatMap((name) =>
    /** @type {unknown[]} */ (pick(schema, name) ?? []).flatMap(valuesOf),
  );
  return [...listed, ...lone, ...limits, ...texts, ...nested];
}

/**
 * @param {Operation} operation
 * @param {Random} random
 * @returns {{ body: string | FormData | null, contentType: string | null }}
 */
function makeBody({ operation }, random) {
  const content = Object(pick(operation, "requestBody", "content"));
  const types = Object.keys(content);
  const type = types[random.between(0, Math.max(types.length - 1, 0))];
  if (type === undefined) return { body: random.chance(0.1) ? "{}" : null, contentType: null };
  const fields = fieldsOf(Object(content[type]), random);
  if (type === "multipart/form-data") return { body: formOf(fields, random), contentType: null };
  if (type !== "application/json") {
    return { body: random.pick(["", "not an image", PIXEL.toString("latin1")]), contentType: type };
  }
  const text = `{${fields.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(",")}}`;
  const whole = random.chance(0.96)
    ? text
    : random.pick([random.pick(ODD_JSON), text.slice(0, -1), `${text}{`, "", "\uFEFF{}"]);
  return { body: whole, contentType: type };
}

/**
 * The fields of the example, changed at a few places. Values are JSON texts.
 * @param {object} media
 * @param {Random} random
 * @returns {[string, string][]}
 */
function fieldsOf(media, random) {
  const example = pick(media, "example") ?? pick(Object.values(Object(pick(media, "examples")))[0], "value");
  const properties = Object(pick(media, "schema", "properties"));
  const fields = new Map(
    Object.entries(Object(example)).map(([name, value]) => [name, JSON.stringify(value)]),
  );
  for (const [name, schema] of Object.entries(properties)) {
    const values = valuesOf(schema);
    if (values.length > 0 && random.chance(0.06)) {
      fields.set(name, JSON.stringify(values[random.between(0, values.length - 1)]));
    }
  }
  const changed = [...fields].flatMap((field) => changeField(field, random));
  if (random.chance(0.05)) changed.push([random.pick(ODD_NAMES), random.pick(ODD_JSON)]);
  return changed.map(([name, json]) => [name, tame(name, json)]);
}

/** @param {[string, string]} field @param {Random} random @returns {[string, string][]} */
function changeField([name, json], random) {
  if (random.chance(0.04)) return [];
  if (random.chance(0.06)) return [[name, random.pick(ODD_JSON)]];
  if (random.chance(0.02))
    return [
      [name, json],
      [name, random.pick(ODD_JSON)],
    ];
  return [[name, json]];
}

/**
 * An open circuit breaker makes all other requests 503, and pictures of 4K take the built-in provider seconds each.
 * @param {string} name
 * @param {string} json
 */
function tame(name, json) {
  if (name === "state" && json === '"open"') return '"auto"';
  if (["resolution", "quality"].includes(name) && /"[24]K"/.test(json)) return '"1K"';
  const isLarge = json.split(/\D+/).some((edge) => Number(edge) > 1_024);
  return name === "size" && isLarge ? '"1024x1024"' : json;
}

/** @param {[string, string][]} fields @param {Random} random */
function formOf(fields, random) {
  const form = new FormData();
  for (const [name, json] of fields) {
    const isFile =
      /^(file|image|image\[\]|mask|reference_image)/.test(name) || json.includes("(the bytes of");
    if (isFile) {
      const bytes = random.pick([
        PIXEL,
        PIXEL,
        Buffer.alloc(0),
        Buffer.from("GIF89a"),
        Buffer.alloc(3_000, 7),
      ]);
      form.append(
        name,
        new File([bytes], random.pick(["a.png", "", "../../a.png", "ü.png", "x".repeat(300)])),
      );
    } else form.append(name, json.startsWith('"') && json.length < 50_000 ? readText(json) : json);
  }
  return form;
}

/** @param {string} json a JSON string */
function readText(json) {
  return String(JSON.parse(json)).toWellFormed();
}
