import type { TestProject } from "vitest/node";
import { startFreshService } from "../../scripts/browser.mjs";

declare module "vitest" {
  interface ProvidedContext {
    site: string;
    /** The key of the demo account. */
    key: string;
  }
}

/** Starts one service for all browser tests. Each test signs up its own users. */
export default async function setup(project: TestProject) {
  const service = await startFreshService();
  project.provide("site", service.origin);
  project.provide("key", service.key);
  return service.stop;
}
