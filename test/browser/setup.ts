import type { TestProject } from "vitest/node";
import { startFreshService } from "../../scripts/browser.mjs";

declare module "vitest" {
  interface ProvidedContext {
    site: string;
    /** Of the demo account. */
    key: string;
  }
}

/** One service for all browser tests: each signs up somebody of its own. */
export default async function setup(project: TestProject) {
  const service = await startFreshService();
  project.provide("site", service.origin);
  project.provide("key", service.key);
  return service.stop;
}
