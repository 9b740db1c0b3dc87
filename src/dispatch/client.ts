import { waitUntil } from "cloudflare:workers";
import { describe, log } from "../log.ts";
import { within } from "../time.ts";
import type { Item } from "./fair-queue.ts";
import type { Ask, CallOutcome, TakeAnswer } from "./gate.ts";
import type { GateWord } from "./provider-gate.ts";
import type { Route } from "./routes.ts";

/** Calls of a provider's gate. When the gate cannot be reached, work goes on without it: the provider still limits. */

const ANSWER_MS = 10_000;
/** How old a word may be that says that the provider is calm, or busy. */
const CALM_WORD_MS = 10_000;
const BUSY_WORD_MS = 2_000;
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

/** The last word of each gate, as this isolate heard it. A word of being busy holds for its flow alone. */
const words = new Map<string, { at: number; word: GateWord }>();

/**
 * How long a new item of the flow would wait. While the provider is calm, nobody waits for this: the last word is used,
 * and a newer one is fetched beside the request. While it is busy, the gate is asked.
 */
export async function gateWord(env: GateEnv, { gate }: Route, flow: string): Promise<GateWord> {
  if (gate === null) return CALM;
  const now = Date.now();
  const known = words.get(`${gate} ${flow}`) ?? words.get(gate);
  const age = known ? now - known.at : Number.POSITIVE_INFINITY;
  if (known && age < (known.word.isBusy ? BUSY_WORD_MS : CALM_WORD_MS)) return known.word;
  const asked = askGate(env, gate, flow);
  if (known?.word.isBusy) return await asked;
  waitUntil(asked);
  return known?.word ?? CALM;
}

async function askGate(env: GateEnv, gate: string, flow: string): Promise<GateWord> {
  try {
    const word: GateWord = await within(
      ANSWER_MS,
      Promise.resolve<GateWord>(env.PROVIDER_GATE.getByName(gate).word(flow)),
    );
    if (words.size >= WORDS_MAX) words.clear();
    const heard = { at: Date.now(), word };
    words.set(gate, heard);
    if (word.isBusy) words.set(`${gate} ${flow}`, heard);
    else words.delete(`${gate} ${flow}`);
    return word;
  } catch (error) {
    log("gate_unreachable", { provider: gate, error: describe(error) });
    return CALM;
  }
}
