import type { TestProject } from "vitest/node";
import { startDouble } from "./index.ts";

declare module "vitest" {
  interface ProvidedContext {
    googleDouble: string;
  }
}

/** Runs the double beside the tests: workerd cannot run a Node server of its own. */
export default async function setup(project: TestProject) {
  const double = await startDouble();
  project.provide("googleDouble", double.url);
  return double.close;
}
