/**
 * One structured line. Ids, codes, counts and times only: never a key, a prompt, an image, a header or a body.
 */
export function log(
  event: string,
  fields: Record<string, string | number | boolean | null | undefined>,
): void {
  console.log(JSON.stringify({ event, ...fields }));
}

/** What a caught value says of itself, for {@link log}. */
export function describe(error: unknown): string {
  return error instanceof Error
    ? `${error.name}: ${error.message}`.slice(0, 500)
    : String(error).slice(0, 500);
}
