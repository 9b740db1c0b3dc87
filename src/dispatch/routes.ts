import { findModel, models, type ProviderName } from "../catalogue/models.ts";
import type { ImageOptions } from "../catalogue/options.ts";
import type { Config } from "../config.ts";
import { log } from "../log.ts";
import { createOpenAI } from "../providers/openai/index.ts";
import type { Provider } from "../providers/provider.ts";
import { sketch } from "../providers/sketch/index.ts";
import { scripted } from "../providers/sketch/scripted.ts";
import type { TestScenario } from "../scenario.ts";
import type { GateSettings } from "./gate.ts";

/** One way to generate a model's images. */
export type Route = {
  name: ProviderName | "sketch";
  provider: Provider;
  /** The provider's own name for the model. */
  providerModel: string;
  /** The name of the provider's gate; null for a provider without limits. */
  gate: string | null;
};

export type GateName = ProviderName;

type ProviderSettings = {
  /** Null without the provider's secret or binding. */
  create(config: Config): Provider | null;
  limits(config: Config): GateSettings;
};

/** How each provider is configured. */
const PROVIDERS: Record<ProviderName, ProviderSettings> = {
  openai: {
    create({ OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl }) {
      return apiKey === undefined ? null : createOpenAI({ name: "openai", apiKey, baseUrl, log });
    },
    limits: ({ OPENAI_MAX_PER_MINUTE: perMinute, OPENAI_MAX_CONCURRENT: concurrent }) => ({
      perMinute,
      concurrent,
    }),
  },
  "openai-fallback": {
    create({ OPENAI_FALLBACK_API_KEY: apiKey, OPENAI_FALLBACK_BASE_URL: baseUrl }) {
      if (apiKey === undefined || baseUrl === undefined) return null;
      return createOpenAI({ name: "openai-fallback", apiKey, baseUrl, log });
    },
    limits: ({ OPENAI_FALLBACK_MAX_PER_MINUTE: perMinute, OPENAI_FALLBACK_MAX_CONCURRENT: concurrent }) => ({
      perMinute,
      concurrent,
    }),
  },
};

/** Providers that have a gate. */
export const gates = Object.keys(PROVIDERS).filter(isGate);

export function isGate(name: string): name is GateName {
  return Object.hasOwn(PROVIDERS, name);
}

/**
 * The routes of a model that this deployment is configured for, in the order in which they are tried.
 * @param test the scenario of a test key: the built-in provider plays it, whatever is configured
 */
export function routesFor(modelId: string, config: Config, test?: TestScenario): readonly Route[] {
  const model = findModel(modelId);
  if (!model) return [];
  if (test) return [{ name: "sketch", provider: scripted(test), providerModel: model.id, gate: null }];
  if (config.IMAGE_PROVIDER === "sketch")
    return [{ name: "sketch", provider: sketch, providerModel: model.id, gate: null }];
  return model.routes.flatMap(({ provider: name, model: providerModel }): Route[] => {
    const provider = PROVIDERS[name].create(config);
    return provider ? [{ name, provider, providerModel, gate: name }] : [];
  });
}

/** The routes whose providers can express the request. @param references how many it has */
export function routesThatAccept(
  routes: readonly Route[],
  options: ImageOptions,
  references: number,
): readonly Route[] {
  return routes.filter(({ provider }) => provider.accepts?.(options, references) ?? true);
}

/** Whether any model has a route. */
export function hasRoutes(config: Config): boolean {
  return models.some(({ id }) => routesFor(id, config).length > 0);
}

/** The limits that the settings state for a gate. */
export function gateSettings(gate: string, config: Config): GateSettings {
  return isGate(gate) ? PROVIDERS[gate].limits(config) : { perMinute: 0, concurrent: 0 };
}
