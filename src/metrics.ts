export const pointKinds = ["request", "generation", "webhook", "purchase"] as const;

/** One measured event: labels to group by, and values to add up. Their order is the order of columns. */
export type Point = {
  kind: (typeof pointKinds)[number];
  /** Ids of kinds, codes and routes. Never an id of a user, a prompt or an address. */
  labels: Readonly<Record<string, string>>;
  values: Readonly<Record<string, number>>;
};

/** The most points that an isolate keeps in memory. */
const RECENT_MAX = 200;

/** A ring: the oldest point is at `next` once it is full. */
const recent: (Point & { at: number })[] = [];
let next = 0;

/**
 * Writes a data point to Analytics Engine, if it is bound, and keeps it in memory. It never waits and never throws. At
 * most one point is written for a request, one for a generation, one for a webhook that ended, and one for each new fact of
 * a purchase.
 */
export function measure({ METRICS }: Partial<Pick<Env, "METRICS">>, point: Point): void {
  recent[next] = { at: Date.now(), ...point };
  next = (next + 1) % RECENT_MAX;
  const { kind, labels, values } = point;
  try {
    METRICS?.writeDataPoint({
      indexes: [kind],
      blobs: [kind, ...Object.values(labels)],
      doubles: Object.values(values),
    });
  } catch {
    // A point that is lost changes nothing.
  }
}

/** The latest points of this isolate, newest first. Times in milliseconds since 1970. */
export function recentPoints(limit: number): (Point & { at: number })[] {
  return [...recent.slice(next), ...recent.slice(0, next)].slice(-limit).reverse();
}
