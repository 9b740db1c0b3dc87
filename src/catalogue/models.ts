import type { Model, Tier } from "./model.ts";
import { models } from "./models/index.ts";

/** The models as data. Each has a file in `models/`, and a line in `models/index.ts`. */
export { models };

/** The model that has this id or alias, or undefined. */
export function findModel(name: string): Model | undefined {
  return models.find(({ id, aliases }) => id === name || aliases.includes(name));
}

/**
 * Credits for `n` images of a tier.
 * @throws {Error} for a tier that the model does not have
 */
export function priceOf(model: Model, tier: Tier, n: number): number {
  const credits = model.credits[tier];
  if (credits === undefined) throw new Error(`${model.id} has no price for ${tier}.`);
  return n * credits;
}

/** What an image of each tier costs at most: the model's price, or its highest for a tier that it does not have. */
export function priceCaps({ credits }: Model): Readonly<Record<Tier, number>> {
  const highest = Math.max(...Object.values(credits));
  return { "1K": highest, "2K": highest, "4K": highest, ...credits };
}

/** The lowest price of `n` images of this model. */
export function cheapestPrice(model: Model, n = 1): number {
  return Math.min(...model.supported_qualities.map((tier) => priceOf(model, tier, n)));
}
