import { defineConfig } from "drizzle-kit";

/** The database `DB`. That of the log is in drizzle-log.config.ts. */
export default defineConfig({
  dialect: "sqlite",
  driver: "d1-http",
  schema: ["./src/db/schema.ts", "./migrations/retired.ts"],
  out: "./migrations",
});
