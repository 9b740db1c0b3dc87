import { findModel, models } from "../catalogue/models.ts";
import type { Config } from "../config.ts";
import { log } from "../log.ts";
import { createOpenAI } from "../providers/openai/index.ts";
import type { Provider } from "../providers/provider.ts";
import { sketch } from "../providers/sketch/index.ts";

/** One way to have a model's images made: a provider, and its own name for the model. */
export type Route = { provider: Provider; providerModel: string };

/** The routes of a model that this deployment is configured for, in the order in which they are tried. */
export function routesFor(modelId: string, config: Config): readonly Route[] {
  const model = findModel(modelId);
  if (!model) return [];
  const provider = openProvider(config);
  return provider === null ? [] : [{ provider, providerModel: model.provider_model }];
}

/** Whether any model has a route. */
export function hasRoutes(config: Config): boolean {
  return models.some(({ id }) => routesFor(id, config).length > 0);
}

/** The provider that the settings name, or null while its key is missing. */
function openProvider(config: Config): Provider | null {
  switch (config.IMAGE_PROVIDER) {
    case "sketch":
      return sketch;
    case "openai": {
      const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = config;
      return apiKey === undefined ? null : createOpenAI({ apiKey, baseUrl, log });
    }
  }
}
