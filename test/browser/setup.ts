import type { TestProject } from "vitest/node";
import { startFreshService } from "../../scripts/browser.mjs";

declare module "vitest" {
  interface ProvidedContext {
    site: string;
    /** The key of the demo account. */
    key: string;
    /** The demo account's test key. */
    testKey: string;
    /** The password of the demo account. */
    demoPassword: string;
  }
}

/** Starts one service for all browser tests. Each test signs up its own users. */
export default async function setup(project: TestProject) {
  const service = await startFreshService();
  project.provide("site", service.origin);
  project.provide("key", service.key);
  project.provide("testKey", service.testKey);
  project.provide("demoPassword", service.demoPassword);
  return service.stop;
}
