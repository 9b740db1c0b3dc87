import * as z from "zod";

/**
 * Fields that the schemas of several resources share. Those of answers are strict: the tests check every answer with
 * them.
 */

/** Schemas that the OpenAPI document lists once, each under its name. */
export const namedSchemas = z.registry<{ id: string }>();

/**
 * The schema of an answer, with its name in the OpenAPI document. It is built on first use: handlers do not need it,
 * and the Worker would start more slowly.
 */
export function named<Schema extends z.ZodType>(id: string, make: () => Schema): z.ZodLazy<Schema> {
  const schema = z.lazy(make);
  namedSchemas.add(schema, { id });
  return schema;
}

/** An id of ours in an answer: a prefix and a ULID. */
export function idOf(prefix: string) {
  return z.string().regex(new RegExp(`^${prefix}_[0-7][0-9A-HJKMNP-TV-Z]{25}$`));
}

/** A time in an answer: ISO 8601, in UTC, to the millisecond. */
export const time = z.iso.datetime({ precision: 3 });

/** A time in a request, as milliseconds since 1970. */
export const timestamp = z.iso.datetime({ offset: true }).transform((text) => Date.parse(text));

export const count = z.int().min(0);

export const livemodeField = z.boolean().meta({ description: "False for what a test key made." });

/** The members of a list's page beside its data. */
export const page = {
  has_more: z.boolean(),
  next_cursor: z
    .string()
    .nullable()
    .meta({ description: "The `cursor` of the next page. Null on the last page." }),
};

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.strictObject({ object: z.literal("list"), data: z.array(item) });
}

/** Milliseconds since 1970, as the API writes a time. */
export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

export function isoTimeOrNull(milliseconds: number | null): string | null {
  return milliseconds === null ? null : isoTime(milliseconds);
}

/**
 * The schema of `limit` in the document: text in a query, but an integer for callers.
 * @param most the largest value, and `fallback` the value of a query without it
 */
export function limitMeta(most: number, fallback: number) {
  return {
    description: "The most items of a page.",
    documentedAs: { type: "integer", minimum: 1, maximum: most, default: fallback },
  };
}

export const CURSOR_DESCRIPTION = "The `next_cursor` of the previous page. Leave it out for the first page.";
