import { type Context, Hono } from "hono";
import * as z from "zod";
import { models } from "../../catalogue/models.ts";
import { readConfig } from "../../config.ts";
import { type PricedRequest, readRequest } from "../../generations/request.ts";
import { publicOrigin } from "../../origin.ts";
import { JSON_NAMES } from "../../references/entries.ts";
import { callerOf } from "../authenticate.ts";
import { isJson, parse, unsupportedMediaType } from "../body.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { count, named } from "../fields.ts";
import { accepted, countDataUrls, listedReferences } from "../references.ts";
import { readTestScenario, refusePricing } from "../submission.ts";
import { BALANCE_EXAMPLE, CreditBalance, renderBalance } from "./credits.ts";
import { GenerationBody, REFERENCES_MAX } from "./generate.ts";

export const Estimate = named("Estimate", () =>
  z.strictObject({
    object: z.literal("estimate"),
    model: z.string(),
    aspect_ratio: z.string(),
    quality: z
      .enum(models.flatMap((model) => model.supported_qualities))
      .meta({ description: "The resolution that the price is for." }),
    size: z.string().meta({ description: "`WIDTHxHEIGHT`, or `auto` where the provider chooses the shape." }),
    n: z.int().min(1),
    credits: count.meta({ description: "The price of all images. A test key is not charged for it." }),
    balance: CreditBalance,
    affordable: z.boolean().meta({
      description:
        "Whether the balance and the limit of the key are enough for it now. A test key can always afford it.",
    }),
  }),
);

export const estimate = new Hono<AppEnv>();

estimate.post(
  "/images/estimate",
  contract({
    id: "estimateGeneration",
    summary: "Estimate the price of a request",
    description:
      "Takes the JSON body of a request to generate images, validates and prices it in the same way, and charges nothing. References are not fetched, and the images of data URLs are not looked at.",
    tag: "generations",
    security: "apiKey",
    isUncounted: true,
    headers: ["X-Test-Scenario"],
    body: {
      schema: GenerationBody,
      example: { model: "gpt-image-2", prompt: "A lighthouse at dusk", size: "1024x1024", n: 2 },
      dataUrls: true,
    },
    answers: {
      200: json("The price.", Estimate, {
        object: "estimate",
        ...{ model: "gpt-image-2", aspect_ratio: "1:1", quality: "1K", size: "1024x1024", n: 2, credits: 16 },
        balance: { object: "credit_balance", ...BALANCE_EXAMPLE },
        affordable: true,
      }),
    },
  }),
  async (c) => c.json(await renderEstimate(c, await price(c))),
);

/** The price of a request, and whether the caller can pay it now. */
export async function renderEstimate(c: Context<AppEnv>, { request, credits }: PricedRequest) {
  const caller = callerOf(c);
  const account = c.env.ACCOUNT.getByName(caller.userId);
  const { keyId, creditLimit: limit } = caller;
  const [balance, [spent]] = await Promise.all([
    account.balance(),
    limit === null ? [] : account.spentByKeys([{ keyId, limit }]),
  ]);
  const left = limit === null || !spent ? balance.credits : limit.credits - spent.credits;
  const { model, aspectRatio, tier, size, n } = request;
  return {
    object: "estimate",
    model,
    aspect_ratio: aspectRatio,
    quality: tier,
    size: size === "auto" ? size : `${size.width}x${size.height}`,
    n,
    credits,
    balance: { object: "credit_balance", ...renderBalance(balance, caller.accountType) },
    affordable: !caller.livemode || credits <= Math.min(balance.credits, left),
  };
}

/** Reads the request like a real one. @throws {ApiError} the error that the real one would get */
async function price(c: Context<AppEnv>): Promise<PricedRequest> {
  const caller = callerOf(c);
  const config = readConfig(c.env);
  if (!isJson(c)) throw unsupportedMediaType("application/json");
  const { value, references: counted } = accepted(await countDataUrls(c.req.raw, REFERENCES_MAX, JSON_NAMES));
  const body = parse(GenerationBody, value);
  const references = listedReferences(body.reference_images ?? [], counted, JSON_NAMES, config);
  const context = {
    userId: caller.userId,
    key: caller,
    references,
    names: JSON_NAMES,
    origin: publicOrigin(config, c.req.url),
  };
  const priced = await readRequest(body, { ...context, test: readTestScenario(c) }, config);
  if (priced.kind !== "priced") throw refusePricing(priced);
  return priced;
}
