/**
 * One structured line. Ids, codes, counts and times only: never a key, a prompt, an image, a header or a body.
 */
export function log(
  event: string,
  fields: Record<string, string | number | boolean | null | undefined>,
): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/**
 * What a caught value says of itself, for {@link log}. An error that wraps another is told by the one at its root: a
 * failed query's wrapper lists the query's values, prompts and e-mail addresses among them.
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
