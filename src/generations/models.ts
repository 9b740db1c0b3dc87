import type { Model } from "../catalogue/model.ts";
import { cheapestPrice, findModel, models } from "../catalogue/models.ts";
import type { OutputFormat } from "../catalogue/options.ts";
import type { Config } from "../config.ts";
import { isKnownDown } from "../dispatch/client.ts";
import { routesFor } from "../dispatch/routes.ts";

/** The models of this deployment. */

const offered = new WeakMap<Config, readonly Model[]>();
const [defaultModel] = models;

/** The default model, and every other one that this deployment has a route for. */
export function offeredModels(config: Config): readonly Model[] {
  const known = offered.get(config);
  if (known) return known;
  const list = models.filter((model) => model === defaultModel || isConfigured(model, config));
  offered.set(config, list);
  return list;
}

/** The model of this deployment that has this id or alias, or undefined. */
export function findOffered(name: string, config: Config): Model | undefined {
  const model = findModel(name);
  return model && offeredModels(config).includes(model) ? model : undefined;
}

/** The price of the cheapest generation. */
export function lowestPrice(config: Config): number {
  return Math.min(...offeredModels(config).map((model) => cheapestPrice(model)));
}

/** The formats that a request for the model may name in this deployment. */
export function offeredFormats(model: Model, config: Config): readonly OutputFormat[] {
  const made = new Set(routesFor(model.id, config).flatMap(({ provider }) => provider.formats));
  return model.supported_output_formats.filter((format) => made.size === 0 || made.has(format));
}

/** Whether the model has a route whose provider is not known to be down. */
export function isAvailable({ id }: Model, config: Config): boolean {
  return routesFor(id, config).some((route) => !isKnownDown(route));
}

function isConfigured({ id }: Model, config: Config): boolean {
  return routesFor(id, config).length > 0;
}
