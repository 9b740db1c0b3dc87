import { expect, it } from "vitest";
import { WORKER_VARIABLES } from "../../scripts/service/runtime.mjs";
import { readConfig } from "../../src/config.ts";

/** `npm start` generates these when they are not set. */
const GENERATED = ["ADMIN_TOKEN", "AUTH_SECRET"];

it("npm start passes on every setting that has a default, and none that the Worker does not know", () => {
  const names = [...WORKER_VARIABLES, ...GENERATED];
  expect(new Set(names).size).toBe(names.length);
  const numbers = /_(SECONDS|MINUTE|CONCURRENT|GENERATIONS|ATTEMPTS|CREDITS)$/;
  const others = new Map([
    ["IMAGE_PROVIDER", "sketch"],
    ["SUPPORT_EMAIL", "support@example.com"],
    ["ALLOW_INSECURE_URLS", "true"],
    ["RETENTION_DAYS", "1"],
    ["LOG_RETENTION_DAYS", "3"],
  ]);
  const set = Object.fromEntries(
    names.map((name) => [name, numbers.test(name) ? "1" : (others.get(name) ?? "https://a.example")]),
  );
  const known = readConfig(set);
  expect(Object.keys(known).sort()).toEqual(names.sort());
});
