import { Hono } from "hono";
import { createMiddleware } from "hono/factory";
import * as z from "zod";
import { type NamedGate, operateGate, viewGates } from "../../dispatch/client.ts";
import { operatorStates } from "../../dispatch/gate.ts";
import { type GateName, isGate } from "../../dispatch/routes.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { notFound } from "../errors.ts";
import { count, isoTime, isoTimeOrNull, listOf, named, time } from "../fields.ts";
import { audit } from "./operator.ts";

const ProviderChange = z.strictObject({
  state: z.enum(operatorStates).meta({
    description: "`open` stops all calls, `closed` lets all through, and `auto` leaves it to the breaker.",
  }),
});

const Provider = named("Provider", () =>
  z.strictObject({
    object: z.literal("provider"),
    name: z.string(),
    state: z
      .enum(["open", "closed"])
      .meta({ description: "The state of the circuit breaker: `open` lets only probes through." }),
    operator: z
      .enum(operatorStates)
      .meta({ description: "The operator's setting. `auto` leaves the state to the breaker." }),
    limit_per_minute: z
      .number()
      .nullable()
      .meta({ description: "The most images of a minute. Null is no limit." }),
    limit_concurrent: z
      .int()
      .nullable()
      .meta({ description: "The most calls at the same time. Null is no limit." }),
    learned_per_minute: z
      .number()
      .nullable()
      .meta({ description: "The limit learned from the provider's answers." }),
    learned_concurrent: z.int().nullable(),
    in_flight: z
      .int()
      .nullable()
      .meta({ description: "The calls in progress. Null while their number is not limited." }),
    waiting: count.meta({ description: "The generations that wait for their turn." }),
    images_last_minute: count,
    consecutive_failures: count,
    next_probe_at: time.nullable(),
    last_failure: z.strictObject({ reason: z.string(), at: time }).nullable(),
  }),
);

const ProviderList = named("ProviderList", () => listOf(Provider));

const example: z.input<typeof Provider> = {
  object: "provider",
  name: "openai",
  state: "closed",
  operator: "auto",
  limit_per_minute: 250,
  limit_concurrent: null,
  learned_per_minute: null,
  learned_concurrent: null,
  in_flight: null,
  waiting: 3,
  images_last_minute: 118,
  consecutive_failures: 0,
  next_probe_at: null,
  last_failure: { reason: "timeout", at: "2026-04-30T07:58:12.000Z" },
};

export const providers = new Hono<AppEnv>();

providers.get(
  "/providers",
  contract({
    id: "listProviders",
    summary: "List the providers' gates",
    description: "Each with its circuit breaker, its limits, and the work that waits for it.",
    tag: "operations",
    security: "operator",
    answers: { 200: json("The gates.", ProviderList, { object: "list", data: [example] }) },
  }),
  async (c) => {
    const gates = await viewGates(c.env);
    return c.json({ object: "list", data: gates.map(renderProvider) });
  },
);

/** Finds the gate of `/providers/:name`, as `c.var.gate`. @throws {ApiError} 404 */
const withGate = createMiddleware<AppEnv & { Variables: { gate: GateName } }>(async (c, next) => {
  const name = c.req.param("name") ?? "";
  if (!isGate(name)) throw notFound();
  c.set("gate", name);
  await next();
});

providers.post(
  "/providers/:name",
  withGate,
  contract({
    id: "operateProvider",
    summary: "Open or close a provider's circuit breaker by hand",
    tag: "operations",
    security: "operator",
    body: { schema: ProviderChange, example: { state: "open" } },
    answers: { 200: json("The gate.", Provider, { ...example, state: "open", operator: "open" }) },
  }),
  async (c) => {
    const name = c.var.gate;
    const { state } = c.req.valid("json");
    const gate = await operateGate(c.env, name, state);
    await audit(c, "operate_provider", { provider: name, state });
    return c.json(renderProvider(gate));
  },
);

/** The gate of a provider: its circuit breaker, its limits, and the waiting work. */
function renderProvider(gate: NamedGate): z.input<typeof Provider> {
  return {
    object: "provider",
    name: gate.name,
    state: gate.state,
    operator: gate.operator,
    limit_per_minute: gate.perMinute,
    limit_concurrent: gate.concurrent,
    learned_per_minute: gate.learnedPerMinute,
    learned_concurrent: gate.learnedConcurrent,
    in_flight: gate.inFlight,
    waiting: gate.waiting,
    images_last_minute: gate.acceptedLastMinute,
    consecutive_failures: gate.failures,
    next_probe_at: isoTimeOrNull(gate.nextProbeAt),
    last_failure: gate.lastFailure && { reason: gate.lastFailure.reason, at: isoTime(gate.lastFailure.at) },
  };
}
