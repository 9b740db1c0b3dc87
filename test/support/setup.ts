import { applyD1Migrations, env, reset } from "cloudflare:test";

// Files share a Worker, but no file finds what another has stored.
await reset();
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
await applyD1Migrations(env.LOG, env.TEST_LOG_MIGRATIONS);
