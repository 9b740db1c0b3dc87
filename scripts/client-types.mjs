/** The types of the TypeScript client, from the OpenAPI document. */
import * as z from "zod";

/** The named types of answers: those that a method of the client returns. */
const ANSWERS = [
  "Generation",
  "Model",
  "CreditBalance",
  "CreditEntry",
  "CreditGrant",
  "Estimate",
  "OwnKey",
  "CreditLimit",
  "UsageReport",
  "Reference",
  "WebhookSecret",
  "WebhookDelivery",
];

/** What the client sets or has an argument for. */
const UNSENT = ["async", "response_format", "limit", "cursor"];

const Schema = z.object({
  type: z.union([z.string(), z.array(z.string())]).optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  description: z.string().optional(),
  required: z.array(z.string()).optional(),
  $ref: z.string().optional(),
  get items() {
    return Schema.optional();
  },
  get anyOf() {
    return z.array(Schema).optional();
  },
  get properties() {
    return z.record(z.string(), Schema).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), Schema]).optional();
  },
});

const Parameter = z.object({
  name: z.string(),
  description: z.string().optional(),
  schema: Schema,
  in: z.string(),
});

const Operation = z.object({
  parameters: z.array(Parameter).default([]),
  requestBody: z
    .object({ content: z.record(z.string(), z.object({ schema: Schema.optional() })) })
    .optional(),
});

const Document = z.object({
  components: z.object({ schemas: z.record(z.string(), Schema) }),
  paths: z.record(z.string(), z.record(z.string(), Operation)),
});

/** @typedef {z.infer<typeof Schema>} Schema @typedef {z.infer<typeof Operation>} Operation */

/**
 * Returns a TypeScript module.
 * @param {unknown} document the OpenAPI document
 * @returns {string}
 */
export function renderTypes(document) {
  const { paths, components } = Document.parse(document);
  const { schemas } = components;
  const operation = (/** @type {string} */ path, /** @type {string} */ method) =>
    found(paths[path]?.[method], `${method} ${path}`);
  const generate = operation("/api/v1/images/generations", "post");
  const body = found(generate.requestBody?.content["application/json"], "JSON body of a generation");
  const error = schemas["NativeError"]?.properties?.["error"];
  const codes = found(error?.properties?.["code"], "codes of errors");
  return [
    "// Generated from public/openapi.json by `npm run openapi`. Do not edit.\n",
    declare("GenerationRequest", withoutUnsent(body.schema ?? {}), true),
    declare("GenerationFilter", queryOf(operation("/api/v1/generations", "get")), true),
    declare("UsageFilter", queryOf(operation("/api/v1/usage", "get")), true),
    ...ANSWERS.map((name) => declare(name, found(schemas[name], name), false)),
    'export type Image = Generation["images"][number];\n',
    declare("ErrorCode", codes, false),
  ].join("\n");
}

/**
 * @template T
 * @param {T | undefined} part
 * @param {string} what
 * @returns {T}
 */
function found(part, what) {
  if (part === undefined) throw new Error(`The OpenAPI document has no ${what}.`);
  return part;
}

/**
 * The parameters of an operation as one object.
 * @param {Operation} operation
 */
function queryOf({ parameters }) {
  const query = parameters.filter((parameter) => parameter.in === "query");
  const properties = query.map(({ name, description, schema }) => [name, { ...schema, description }]);
  return withoutUnsent({ properties: Object.fromEntries(properties) });
}

/** @param {Schema} schema */
function withoutUnsent(schema) {
  const kept = Object.entries(schema.properties ?? {}).filter(([name]) => !UNSENT.includes(name));
  return { ...schema, properties: Object.fromEntries(kept) };
}

/**
 * @param {string} name
 * @param {Schema} schema
 * @param {boolean} isRequest
 */
function declare(name, schema, isRequest) {
  return `export type ${name} = ${typeOf(schema, isRequest, "")};\n`;
}

/**
 * @param {Schema} schema
 * @param {boolean} isRequest a later release of the service may accept more values than this client knows
 * @param {string} indent
 * @returns {string}
 */
function typeOf(schema, isRequest, indent) {
  // A reference to a named type, which is declared too.
  if (schema.$ref) return schema.$ref.split("/").at(-1) ?? "";
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) {
    const values = schema.enum.map((value) => JSON.stringify(value)).join(" | ");
    return isRequest ? `${values} | (string & {})` : values;
  }
  const alternatives =
    schema.anyOf ?? (Array.isArray(schema.type) ? schema.type.map((type) => ({ type })) : []);
  if (alternatives.length > 0)
    return alternatives.map((alternative) => typeOf(alternative, isRequest, indent)).join(" | ");
  if (schema.properties) return objectOf(schema, isRequest, indent);
  switch (schema.type) {
    case "object": {
      const values = typeof schema.additionalProperties === "object" ? schema.additionalProperties : {};
      return `Record<string, ${typeOf(values, isRequest, indent)}>`;
    }
    case "array":
      return `(${typeOf(schema.items ?? {}, isRequest, indent)})[]`.replace(/^\((\w+)\)/, "$1");
    case "integer":
    case "number":
      return "number";
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    default:
      throw new Error(`No type for ${JSON.stringify(schema)}`);
  }
}

/**
 * @param {Schema} schema
 * @param {boolean} isRequest
 * @param {string} indent
 */
function objectOf({ properties = {}, required = [] }, isRequest, indent) {
  const inner = `${indent}  `;
  const lines = Object.entries(properties).flatMap(([name, member]) => {
    const type = typeOf(member, isRequest, inner);
    const comment = member.description ? [`${inner}/** ${member.description} */`] : [];
    const isRequired = required.includes(name);
    return [...comment, `${inner}${name}${isRequired ? `: ${type}` : `?: ${type} | undefined`};`];
  });
  return `{\n${lines.join("\n")}\n${indent}}`;
}
