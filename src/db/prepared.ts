import { type DrizzleD1Database, drizzle } from "drizzle-orm/d1";

/**
 * A query that is built once per database and then only given its values: building a query takes more CPU than reading
 * its result.
 */
export function prepared<Query>(build: (db: DrizzleD1Database) => Query): (d1: D1Database) => Query {
  const built = new WeakMap<D1Database, { query: Query }>();
  return (d1) => {
    const known = built.get(d1);
    if (known) return known.query;
    const query = build(drizzle(d1));
    built.set(d1, { query });
    return query;
  };
}
