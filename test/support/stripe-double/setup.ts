import type { TestProject } from "vitest/node";
import { startStripeDouble } from "../../../scripts/service/stripe-double.mjs";

declare module "vitest" {
  interface ProvidedContext {
    stripeDouble: { origin: string; secretKey: string; webhookSecret: string };
  }
}

/** Runs the double beside the tests. It sends no events: the tests fetch and deliver them. */
export default async function setup(project: TestProject) {
  const { close, ...double } = await startStripeDouble();
  project.provide("stripeDouble", double);
  return close;
}
