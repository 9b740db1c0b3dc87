/** Stands in the bundle for the sign-in library's module of that name (`alias` in wrangler.toml): nothing is told. */
export async function createTelemetry() {
  return { publish: async () => {} };
}
