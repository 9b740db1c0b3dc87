import type { Model, ProviderName } from "../catalogue/model.ts";
import { findModel, models } from "../catalogue/models.ts";
import type { ImageOptions } from "../catalogue/options.ts";
import type { Config } from "../config.ts";
import { log } from "../log.ts";
import { createBlackForestLabs } from "../providers/black-forest-labs/index.ts";
import { createFal } from "../providers/fal/index.ts";
import { createGoogle } from "../providers/google/index.ts";
import { createOpenAI } from "../providers/openai/index.ts";
import type { Provider, ReferenceSize } from "../providers/provider.ts";
import { sketch } from "../providers/sketch/index.ts";
import { scripted } from "../providers/sketch/scripted.ts";
import { createWorkersAI } from "../providers/workers-ai/index.ts";
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
  /** The names of its limits in the settings. */
  limits: { perMinute: LimitName<"PER_MINUTE">; concurrent: LimitName<"CONCURRENT"> };
};

type LimitName<Kind extends string> = Extract<keyof Config, `${string}_MAX_${Kind}`>;

/** How each provider is configured. */
const PROVIDERS: Record<ProviderName, ProviderSettings> = {
  openai: {
    create({ OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl }) {
      return apiKey === undefined ? null : createOpenAI({ name: "openai", apiKey, baseUrl, log });
    },
    limits: { perMinute: "OPENAI_MAX_PER_MINUTE", concurrent: "OPENAI_MAX_CONCURRENT" },
  },
  "openai-fallback": {
    create({ OPENAI_FALLBACK_API_KEY: apiKey, OPENAI_FALLBACK_BASE_URL: baseUrl }) {
      if (apiKey === undefined || baseUrl === undefined) return null;
      return createOpenAI({ name: "openai-fallback", apiKey, baseUrl, log });
    },
    limits: { perMinute: "OPENAI_FALLBACK_MAX_PER_MINUTE", concurrent: "OPENAI_FALLBACK_MAX_CONCURRENT" },
  },
  google: {
    create({ GEMINI_API_KEY: apiKey, GEMINI_BASE_URL: baseUrl }) {
      return apiKey === undefined ? null : createGoogle({ apiKey, baseUrl, log });
    },
    limits: { perMinute: "GEMINI_MAX_PER_MINUTE", concurrent: "GEMINI_MAX_CONCURRENT" },
  },
  "black-forest-labs": {
    create({ BFL_API_KEY: apiKey, BFL_BASE_URL: baseUrl }) {
      return apiKey === undefined ? null : createBlackForestLabs({ apiKey, baseUrl, log });
    },
    limits: { perMinute: "BFL_MAX_PER_MINUTE", concurrent: "BFL_MAX_CONCURRENT" },
  },
  fal: {
    create({ FAL_KEY: apiKey, FAL_BASE_URL: baseUrl }) {
      return apiKey === undefined ? null : createFal({ apiKey, baseUrl, log });
    },
    limits: { perMinute: "FAL_MAX_PER_MINUTE", concurrent: "FAL_MAX_CONCURRENT" },
  },
  "workers-ai": {
    create: ({ AI: ai }) => (ai === undefined ? null : createWorkersAI({ ai, log })),
    limits: { perMinute: "WORKERS_AI_MAX_PER_MINUTE", concurrent: "WORKERS_AI_MAX_CONCURRENT" },
  },
};

/** Providers that have a gate. */
export const gates = Object.keys(PROVIDERS).filter(isGate);

export function isGate(name: string): name is GateName {
  return Object.hasOwn(PROVIDERS, name);
}

/** The routes of each model, by configuration: an adapter is created once, not for each request. */
const known = new WeakMap<Config, Map<string, readonly Route[]>>();

/**
 * The routes of a model that this deployment is configured for, in the order in which they are tried.
 * @param test the scenario of a test key: the built-in provider plays it, whatever is configured
 */
export function routesFor(modelId: string, config: Config, test?: TestScenario): readonly Route[] {
  const model = findModel(modelId);
  if (!model) return [];
  if (test) return [{ name: "sketch", provider: scripted(test), providerModel: model.id, gate: null }];
  const routes = known.get(config) ?? new Map<string, readonly Route[]>();
  known.set(config, routes);
  const found = routes.get(model.id) ?? createRoutes(model, config);
  routes.set(model.id, found);
  return found;
}

function createRoutes(model: Model, config: Config): readonly Route[] {
  if (config.IMAGE_PROVIDER === "sketch")
    return [{ name: "sketch", provider: sketch, providerModel: model.id, gate: null }];
  return model.routes.flatMap(({ provider: name, model: providerModel }): Route[] => {
    const provider = PROVIDERS[name].create(config);
    return provider ? [{ name, provider, providerModel, gate: name }] : [];
  });
}

/** The routes whose providers can express the request, with these references. */
export function routesThatAccept(
  routes: readonly Route[],
  options: ImageOptions,
  references: readonly ReferenceSize[],
): readonly Route[] {
  return routes.filter(
    ({ provider, providerModel }) => provider.accepts?.(options, references, providerModel) ?? true,
  );
}

/** Whether any model has a route. */
export function hasRoutes(config: Config): boolean {
  return models.some(({ id }) => routesFor(id, config).length > 0);
}

/** The gates of all routes that this deployment is configured for. */
export function configuredGates(config: Config): readonly GateName[] {
  const used = new Set(models.flatMap(({ id }) => routesFor(id, config).map(({ gate }) => gate)));
  return gates.filter((name) => used.has(name));
}

/** The limits that the settings state for a gate. */
export function gateSettings(gate: string, config: Config): GateSettings {
  if (!isGate(gate)) return { perMinute: 0, concurrent: 0 };
  const { perMinute, concurrent } = PROVIDERS[gate].limits;
  return { perMinute: config[perMinute], concurrent: config[concurrent] };
}
