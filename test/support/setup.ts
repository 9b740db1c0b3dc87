import { applyD1Migrations, env } from "cloudflare:test";

await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
await applyD1Migrations(env.LOG, env.TEST_LOG_MIGRATIONS);

// Files may share a Worker, and some check that no reference is stored.
const { objects } = await env.REFERENCES.list();
await env.REFERENCES.delete(objects.map(({ key }) => key));
