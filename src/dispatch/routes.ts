import { findModel, models } from "../catalogue/models.ts";
import type { Config } from "../config.ts";
import { log } from "../log.ts";
import { createOpenAI } from "../providers/openai/index.ts";
import type { Provider } from "../providers/provider.ts";
import { sketch } from "../providers/sketch/index.ts";
import type { GateSettings } from "./gate.ts";

/** One way to generate a model's images. */
export type Route = {
  provider: Provider;
  /** The provider's own name for the model. */
  providerModel: string;
  /** The name of the provider's gate; null for a provider without limits. */
  gate: string | null;
};

/** Providers that have a gate. */
export const gates = ["openai"] as const;
export type GateName = (typeof gates)[number];

export function isGate(name: string): name is GateName {
  return gates.some((gate) => gate === name);
}

/** The routes of a model that this deployment is configured for, in the order in which they are tried. */
export function routesFor(modelId: string, config: Config): readonly Route[] {
  const model = findModel(modelId);
  if (!model) return [];
  const providerModel = model.provider_model;
  switch (config.IMAGE_PROVIDER) {
    case "sketch":
      return [{ provider: sketch, providerModel, gate: null }];
    case "openai": {
      const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = config;
      if (apiKey === undefined) return [];
      return [{ provider: createOpenAI({ apiKey, baseUrl, log }), providerModel, gate: "openai" }];
    }
  }
}

/** Whether any model has a route. */
export function hasRoutes(config: Config): boolean {
  return models.some(({ id }) => routesFor(id, config).length > 0);
}

/** The limits that the settings state for a gate. */
export function gateSettings(gate: string, config: Config): GateSettings {
  switch (gate) {
    case "openai":
      return { perMinute: config.OPENAI_MAX_PER_MINUTE, concurrent: config.OPENAI_MAX_CONCURRENT };
    default:
      return { perMinute: 0, concurrent: 0 };
  }
}
