import * as z from "zod";

/** Zod's schemas as the JSON Schema that callers read: in the OpenAPI document, and as the schemas of MCP tools. */

const ObjectSchema = z.looseObject({
  properties: z.record(z.string(), z.looseObject({ description: z.string().optional() })).optional(),
  required: z.array(z.string()).optional(),
});

export type ObjectSchema = z.output<typeof ObjectSchema>;

const Documented = z.looseObject({ documentedAs: z.record(z.string(), z.unknown()) });

/** The JSON Schema of a request. A schema's `documentedAs` replaces the one that zod generates. */
export function requestSchema(schema: z.ZodType): ObjectSchema {
  const { $schema: _, ...object } = z.toJSONSchema(schema, {
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema }) => {
      withoutPattern(jsonSchema);
      const { success, data } = Documented.safeParse(jsonSchema);
      if (!success) return;
      const { description } = jsonSchema;
      for (const member of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, member);
      Object.assign(jsonSchema, { description, ...data.documentedAs });
    },
  });
  return ObjectSchema.parse(object);
}

/** The format is enough: zod adds a long pattern that repeats it. */
export function withoutPattern(schema: { format?: string; pattern?: string }): void {
  if (schema.format !== undefined) delete schema.pattern;
}

/** Allows new members in answers: adding one later does not break generated clients. */
export function open(schema: object): { [member: string]: unknown } {
  const members = Object.entries(schema).filter(
    ([name, value]) => name !== "additionalProperties" || value !== false,
  );
  return Object.fromEntries(members.map(([name, value]) => [name, openValue(value)]));
}

function openValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(openValue);
  return typeof value === "object" && value !== null ? open(value) : value;
}
