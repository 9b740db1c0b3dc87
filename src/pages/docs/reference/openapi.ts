import * as z from "zod";

/** The parts of the OpenAPI document that the reference shows. */

const Schema = z.object({
  $ref: z.string().optional(),
  type: z.union([z.string(), z.array(z.string())]).optional(),
  description: z.string().optional(),
  format: z.string().optional(),
  pattern: z.string().optional(),
  contentMediaType: z.string().optional(),
  const: z.unknown().optional(),
  enum: z.array(z.unknown()).optional(),
  default: z.unknown().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  minLength: z.number().optional(),
  maxLength: z.number().optional(),
  minItems: z.number().optional(),
  maxItems: z.number().optional(),
  required: z.array(z.string()).default([]),
  get properties() {
    return z.record(z.string(), Schema).default({});
  },
  get items() {
    return Schema.optional();
  },
  get anyOf() {
    return z.array(Schema).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), Schema]).optional();
  },
});

const Content = z.record(z.string(), z.object({ schema: Schema.optional() }));

const Response = z.object({
  $ref: z.string().optional(),
  description: z.string().default(""),
  headers: z.record(z.string(), z.unknown()).default({}),
  content: Content.default({}),
});

const Parameter = z.object({
  name: z.string(),
  in: z.string(),
  required: z.boolean().default(false),
  description: z.string().optional(),
  schema: Schema,
});

const OperationObject = z.object({
  operationId: z.string(),
  summary: z.string(),
  description: z.string().optional(),
  tags: z.tuple([z.string()]),
  security: z.array(z.record(z.string(), z.unknown())),
  parameters: z.array(Parameter).default([]),
  requestBody: z.object({ content: Content }).optional(),
  responses: z.record(z.string(), Response),
});

const Document = z.object({
  paths: z.record(z.string(), z.record(z.string(), OperationObject)),
  components: z.object({
    headers: z.record(z.string(), z.object({ description: z.string() })),
    responses: z.record(z.string(), Response),
    schemas: z.record(z.string(), Schema),
  }),
});

type Schema = z.output<typeof Schema>;
type Components = z.output<typeof Document>["components"];

/** A field of a body, or a parameter. Nested fields are named by their path, as `images[].url`. */
export type Field = {
  name: string;
  type: string;
  required: boolean;
  /** The media type or the part of the request that has the field. */
  place: string | undefined;
  description: string | undefined;
  values: readonly string[];
  fallback: string | undefined;
  limits: readonly string[];
};

export type Answer = {
  status: number;
  description: string;
  headers: readonly string[];
  bodies: readonly { mediaType: string; fields: readonly Field[] }[];
};

export type Operation = {
  id: string;
  method: string;
  path: string;
  tag: string;
  summary: string;
  description: string | undefined;
  security: "apiKey" | "operator" | null;
  parameters: readonly Field[];
  bodyTypes: readonly string[];
  body: readonly Field[];
  answers: readonly Answer[];
};

export type Api = {
  headers: readonly { name: string; description: string }[];
  operations: readonly Operation[];
};

/**
 * Reads our OpenAPI 3.1 document and resolves its references. Throws when the document has another shape.
 * @param document the result of `buildDocument`
 */
export function readApi(document: unknown): Api {
  const { paths, components } = Document.parse(document);
  return {
    headers: Object.entries(components.headers).map(([name, { description }]) => ({ name, description })),
    operations: Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) =>
        readOperation(method.toUpperCase(), path, operation, components),
      ),
    ),
  };
}

function readOperation(
  method: string,
  path: string,
  operation: z.output<typeof OperationObject>,
  components: Components,
): Operation {
  const { operationId, summary, description, security, parameters, requestBody, responses } = operation;
  const content = requestBody?.content ?? {};
  const [scheme] = security.flatMap((schemes) => Object.keys(schemes));
  return {
    id: operationId,
    method,
    path,
    tag: operation.tags[0],
    summary,
    description,
    security: scheme === "apiKey" || scheme === "operator" ? scheme : null,
    parameters: parameters.map((parameter) => ({
      ...readField(parameter.name, parameter.schema, parameter.required, components),
      ...(parameter.description === undefined ? {} : { description: parameter.description }),
      place: parameter.in,
    })),
    bodyTypes: Object.keys(content),
    body: mergeBodies(content, components),
    answers: Object.entries(responses).map(([status, response]) =>
      readAnswer(Number(status), response, components),
    ),
  };
}

/** Merges the fields of all media types. A field that only some of them have names its media type. */
function mergeBodies(content: z.output<typeof Content>, components: Components): Field[] {
  const bodies = Object.entries(content).map(([mediaType, { schema }]) => ({
    mediaType,
    fields: schema ? readFields(schema, "", components) : [],
  }));
  const merged = new Map<string, Field>();
  for (const { mediaType, fields } of bodies) {
    for (const field of fields) {
      const everywhere = bodies.every((body) => body.fields.some(({ name }) => name === field.name));
      if (!merged.has(field.name))
        merged.set(field.name, { ...field, place: everywhere ? undefined : mediaType });
    }
  }
  return [...merged.values()];
}

function readAnswer(status: number, given: z.output<typeof Response>, components: Components): Answer {
  const response = given.$ref === undefined ? given : components.responses[lastOf(given.$ref)];
  if (response === undefined) throw new Error(`The document does not contain ${given.$ref}.`);
  return {
    status,
    description: response.description,
    headers: Object.keys(response.headers),
    bodies: Object.entries(response.content).map(([mediaType, { schema }]) => ({
      mediaType,
      fields: schema ? readFields(schema, "", components) : [],
    })),
  };
}

/** The fields of an object and of the objects and lists in it. */
function readFields(given: Schema, prefix: string, components: Components): Field[] {
  const schema = follow(given, components);
  const inner = [...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])];
  return [
    ...Object.entries(schema.properties).flatMap(([name, property]) => [
      readField(prefix + name, property, schema.required.includes(name), components),
      ...readFields(property, `${prefix}${name}${isList(property, components) ? "[]" : ""}.`, components),
    ]),
    ...inner.flatMap((item) => readFields(item, prefix, components)),
  ];
}

function readField(name: string, given: Schema, required: boolean, components: Components): Field {
  const schema = follow(given, components);
  const variants = [schema, ...(schema.anyOf ?? [])];
  const values = variants.flatMap(
    (variant) => variant.enum ?? (variant.const === undefined ? [] : [variant.const]),
  );
  return {
    name,
    type: typeOf(schema, components),
    required,
    place: undefined,
    description: schema.description,
    values: values.map(String),
    fallback: schema.default === undefined ? undefined : String(schema.default),
    limits: variants.flatMap(limitsOf),
  };
}

function typeOf(given: Schema, components: Components): string {
  const schema = follow(given, components);
  if (schema.anyOf) return schema.anyOf.map((variant) => typeOf(variant, components)).join(" or ");
  if (schema.items) return `list of ${typeOf(schema.items, components)}`;
  if (schema.contentMediaType !== undefined) return "file";
  if (typeof schema.additionalProperties === "object" && schema.additionalProperties.type !== undefined)
    return `object of ${typeOf(schema.additionalProperties, components)}`;
  return [schema.type ?? "any"].flat().join(" or ");
}

function limitsOf(schema: Schema): string[] {
  const { minimum, maximum, minLength, maxLength, minItems, maxItems, format, pattern } = schema;
  // The bounds of JavaScript's safe integers are no limits of the API.
  const safe = (bound: number | undefined) =>
    bound !== undefined && Math.abs(bound) === Number.MAX_SAFE_INTEGER ? undefined : bound;
  return [
    ...span(safe(minimum), safe(maximum), ""),
    ...span(minLength, maxLength, " characters"),
    ...span(minItems, maxItems, " items"),
    // The pattern of a format only repeats the format.
    ...(format === undefined ? [] : [format]),
    ...(format !== undefined || pattern === undefined ? [] : [pattern]),
  ];
}

function span(least: number | undefined, most: number | undefined, unit: string): string[] {
  if (least !== undefined && most !== undefined) return [`${least}–${most}${unit}`];
  if (least !== undefined) return [`≥ ${least}${unit}`];
  return most === undefined ? [] : [`≤ ${most}${unit}`];
}

function isList(given: Schema, components: Components): boolean {
  return follow(given, components).items !== undefined;
}

function follow(schema: Schema, components: Components): Schema {
  if (schema.$ref === undefined) return schema;
  const named = components.schemas[lastOf(schema.$ref)];
  if (named === undefined) throw new Error(`The document does not contain ${schema.$ref}.`);
  return named;
}

function lastOf(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}
