import { waitUntil } from "cloudflare:workers";
import { describe, log } from "../log.ts";
import { within } from "../time.ts";
import type { Item } from "./fair-queue.ts";
import type { Ask, CallOutcome, OperatorState, TakeAnswer } from "./gate.ts";
import type { GateView, GateWord } from "./provider-gate.ts";
import { type GateName, gates, type Route } from "./routes.ts";

/** Calls of a provider's gate. When the gate cannot be reached, work goes on without it: the provider still limits. */

const ANSWER_MS = 10_000;
/** How old a word may be that says that the provider is calm, or busy. */
const CALM_WORD_MS = 10_000;
const BUSY_WORD_MS = 2_000;
/** A word older than this says nothing. */
const OLD_WORD_MS = 60_000;
/** How long a request waits for a word when there is none: it can start without one. */
const FIRST_WORD_MS = 3_000;
const WORDS_MAX = 1_000;

const LET_THROUGH: TakeAnswer = { kind: "go", report: false, isProbe: false };

type GateEnv = Pick<Env, "PROVIDER_GATE">;

/** Asks for one call of the route's provider: see {@link ProviderGate.take}. */
export async function takeTicket(
  env: GateEnv,
  { gate }: Route,
  ask: Ask,
  holdMs: number,
  isKept: boolean,
): Promise<TakeAnswer> {
  if (gate === null) return LET_THROUGH;
  try {
    const answer: Promise<TakeAnswer> = env.PROVIDER_GATE.getByName(gate).take(ask, holdMs, isKept);
    return await within(holdMs + ANSWER_MS, answer);
  } catch (error) {
    log("gate_unreachable", { provider: gate, generation_id: ask.id, error: describe(error) });
    return LET_THROUGH;
  }
}

/** Reports the outcome of a call. A report that is lost is made up for by the next ones. */
export async function reportCall(
  env: GateEnv,
  { gate }: Route,
  id: string,
  outcome: CallOutcome,
): Promise<void> {
  if (gate === null) return;
  try {
    await within(ANSWER_MS, Promise.resolve(env.PROVIDER_GATE.getByName(gate).report(id, outcome)));
  } catch (error) {
    log("gate_report_failed", { provider: gate, generation_id: id, error: describe(error) });
  }
}

/** Leaves a generation with the gate, which queues it when its turn comes. @returns whether the gate took it */
export async function park(env: GateEnv, { gate }: Route, item: Item): Promise<boolean> {
  if (gate === null) return false;
  try {
    return await within(ANSWER_MS, Promise.resolve(env.PROVIDER_GATE.getByName(gate).park(item)));
  } catch (error) {
    log("gate_unreachable", { provider: gate, generation_id: item.id, error: describe(error) });
    return false;
  }
}

const CALM: GateWord = { isDown: false, until: null, isBusy: false };

/** The last words of the gates, as this isolate heard them: by gate, and by flow while the provider is busy. */
const words = new Map<string, { at: number; word: GateWord }>();

/**
 * How long a new item of the flow would wait. While the provider is calm, the last word is used and a newer one is
 * fetched beside the request. The gate is asked when this isolate has no recent word, so that a new isolate accepts
 * nothing during an outage, and while the provider is busy, because users wait for different times.
 */
export async function gateWord(env: GateEnv, { gate }: Route, flow: string): Promise<GateWord> {
  if (gate === null) return CALM;
  const now = Date.now();
  const own = words.get(`${gate} ${flow}`);
  if (own && now - own.at < BUSY_WORD_MS) return own.word;
  const last = words.get(gate);
  if (!last || now - last.at >= OLD_WORD_MS) return await askGate(env, gate, flow, FIRST_WORD_MS);
  if (last.word.isBusy) return await askGate(env, gate, flow, ANSWER_MS);
  if (now - last.at >= CALM_WORD_MS) waitUntil(askGate(env, gate, flow, ANSWER_MS));
  return CALM;
}

async function askGate(env: GateEnv, gate: string, flow: string, withinMs: number): Promise<GateWord> {
  try {
    const asked: Promise<GateWord> = env.PROVIDER_GATE.getByName(gate).word(flow);
    const word = await within(withinMs, asked);
    if (words.size >= WORDS_MAX) words.clear();
    const heard = { at: Date.now(), word };
    words.set(gate, heard);
    if (word.isBusy) words.set(`${gate} ${flow}`, heard);
    return word;
  } catch (error) {
    log("gate_unreachable", { provider: gate, error: describe(error) });
    return CALM;
  }
}

export type NamedGate = GateView & { name: GateName };

/** The state of every gate, for the operator. @throws when a gate cannot be reached */
export async function viewGates(env: GateEnv): Promise<NamedGate[]> {
  return await Promise.all(
    gates.map(async (name) => {
      const view: Promise<GateView> = env.PROVIDER_GATE.getByName(name).view();
      return { name, ...(await within(ANSWER_MS, view)) };
    }),
  );
}

/** Opens or closes a gate by hand, or returns it to its rules. @throws when the gate cannot be reached */
export async function operateGate(env: GateEnv, name: GateName, state: OperatorState): Promise<NamedGate> {
  const view: Promise<GateView> = env.PROVIDER_GATE.getByName(name).operate(state);
  return { name, ...(await within(ANSWER_MS, view)) };
}
