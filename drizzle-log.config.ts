import { defineConfig } from "drizzle-kit";

/** The database `LOG`. */
export default defineConfig({
  dialect: "sqlite",
  driver: "d1-http",
  schema: "./src/db/log-schema.ts",
  out: "./migrations-log",
});
