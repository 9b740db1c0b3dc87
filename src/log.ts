/** Logs one JSON line. Log only ids, codes, counts and times: never a key, a prompt, an image, a header or a body. */
export function log(
  event: string,
  fields: Record<string, string | number | boolean | null | undefined>,
): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/**
 * Describes a caught value for {@link log}. Uses the root cause of a wrapped error: the wrapper of a failed query lists
 * the query's values, which include prompts and e-mail addresses.
 */
export function describe(error: unknown): string {
  const root = rootOf(error);
  return (root instanceof Error ? `${root.name}: ${root.message}` : String(root)).slice(
    0,
    DESCRIPTION_LENGTH_MAX,
  );
}

const DESCRIPTION_LENGTH_MAX = 500;

function rootOf(error: unknown): unknown {
  let root = error;
  for (let depth = 0; depth < 8 && root instanceof Error && root.cause !== undefined; depth++)
    root = root.cause;
  return root;
}
