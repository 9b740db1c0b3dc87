import { waitUntil } from "cloudflare:workers";
import { describe, log } from "../log.ts";
import { withTimeout } from "../time.ts";
import type { Item } from "./fair-queue.ts";
import type { Ask, CallOutcome, OperatorState, TakeAnswer } from "./gate.ts";
import type { GateStatus, GateView } from "./provider-gate.ts";
import { type GateName, gates, type Route } from "./routes.ts";

/** Calls to a provider's gate. If the gate does not respond, work continues without it: the provider still limits. */

const ANSWER_MS = 10_000;
/** How long a status is cached, by whether the provider is calm or busy. */
const CALM_STATUS_MS = 10_000;
const BUSY_STATUS_MS = 2_000;
/** A status older than this is not used. */
const OLD_STATUS_MS = 60_000;
/** How long a request waits for a status when none is cached. It can start without one. */
const FIRST_STATUS_MS = 3_000;
const STATUSES_MAX = 1_000;

const LET_THROUGH: TakeAnswer = { kind: "go", report: false, isProbe: false };

type GateEnv = Pick<Env, "PROVIDER_GATE">;

/** Asks for one call to the route's provider: see {@link ProviderGate.take}. */
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
    return await withTimeout(holdMs + ANSWER_MS, answer);
  } catch (error) {
    log("gate_unreachable", { provider: gate, generation_id: ask.id, error: describe(error) });
    return LET_THROUGH;
  }
}

/** Reports the outcome of a call. A lost report does no harm: the next ones correct it. */
export async function reportCall(
  env: GateEnv,
  { gate }: Route,
  id: string,
  outcome: CallOutcome,
): Promise<void> {
  if (gate === null) return;
  try {
    await withTimeout(ANSWER_MS, Promise.resolve(env.PROVIDER_GATE.getByName(gate).report(id, outcome)));
  } catch (error) {
    log("gate_report_failed", { provider: gate, generation_id: id, error: describe(error) });
  }
}

/** Parks a generation with the route's gate, which queues it when its turn comes. @returns whether the gate accepted it */
export async function park(env: GateEnv, { gate }: Route, item: Item): Promise<boolean> {
  if (gate === null) return false;
  try {
    return await withTimeout(ANSWER_MS, Promise.resolve(env.PROVIDER_GATE.getByName(gate).park(item)));
  } catch (error) {
    log("gate_unreachable", { provider: gate, generation_id: item.id, error: describe(error) });
    return false;
  }
}

/** Removes a canceled generation from the gate's queue. If that fails, the gate drops it when its turn comes. */
export async function leaveGate(env: GateEnv, { gate }: Route, id: string): Promise<void> {
  if (gate === null) return;
  try {
    await withTimeout(ANSWER_MS, Promise.resolve(env.PROVIDER_GATE.getByName(gate).leave(id)));
  } catch (error) {
    log("gate_unreachable", { provider: gate, generation_id: id, error: describe(error) });
  }
}

const CALM: GateStatus = { isDown: false, until: null, isBusy: false };

/** Cached statuses of this isolate: by gate, and by flow while the provider is busy. */
const statuses = new Map<string, { at: number; status: GateStatus }>();

/**
 * The status, for a new item of the flow, of the first route whose provider is not busy, or else of the one whose turn
 * comes first.
 */
export async function gateStatus(
  env: GateEnv,
  routes: readonly Route[],
  flow: string,
): Promise<GateStatus & { route: Route | null }> {
  let best: GateStatus & { route: Route | null } = { ...CALM, route: routes[0] ?? null };
  for (const route of routes) {
    const status = await routeStatus(env, route, flow);
    if (!status.isBusy) return { ...status, route };
    if (!best.isBusy || turnOf(status) < turnOf(best)) best = { ...status, route };
  }
  return best;
}

/** Whether the last status that this isolate has of the route's provider is recent and says that it is down. */
export function isKnownDown({ gate }: Route): boolean {
  const last = gate === null ? undefined : statuses.get(gate);
  if (!last || Date.now() - last.at >= OLD_STATUS_MS) return false;
  return last.status.isDown;
}

function turnOf({ isDown, until }: GateStatus): number {
  return isDown || until === null ? Number.POSITIVE_INFINITY : until;
}

/**
 * While the provider is calm, this uses the cached status and refreshes it in the background. It asks the gate when no
 * recent status is cached, so that a new isolate accepts nothing during an outage, and while the provider is busy,
 * because users wait for different times.
 */
async function routeStatus(env: GateEnv, { gate }: Route, flow: string): Promise<GateStatus> {
  if (gate === null) return CALM;
  const now = Date.now();
  const own = statuses.get(`${gate} ${flow}`);
  if (own && now - own.at < BUSY_STATUS_MS) return own.status;
  const last = statuses.get(gate);
  if (!last || now - last.at >= OLD_STATUS_MS) return await fetchStatus(env, gate, flow, FIRST_STATUS_MS);
  if (last.status.isBusy) return await fetchStatus(env, gate, flow, ANSWER_MS);
  if (now - last.at >= CALM_STATUS_MS) waitUntil(fetchStatus(env, gate, flow, ANSWER_MS));
  return CALM;
}

async function fetchStatus(env: GateEnv, gate: string, flow: string, withinMs: number): Promise<GateStatus> {
  try {
    const asked: Promise<GateStatus> = env.PROVIDER_GATE.getByName(gate).word(flow);
    const status = await withTimeout(withinMs, asked);
    if (statuses.size >= STATUSES_MAX) statuses.clear();
    const heard = { at: Date.now(), status };
    statuses.set(gate, heard);
    if (status.isBusy) statuses.set(`${gate} ${flow}`, heard);
    return status;
  } catch (error) {
    log("gate_unreachable", { provider: gate, error: describe(error) });
    return CALM;
  }
}

export type NamedGate = GateView & { name: GateName };

/** The state of these gates, or of every gate. @throws when a gate cannot be reached */
export async function viewGates(env: GateEnv, names: readonly GateName[] = gates): Promise<NamedGate[]> {
  return await Promise.all(
    names.map(async (name) => {
      const view: Promise<GateView> = env.PROVIDER_GATE.getByName(name).view();
      return { name, ...(await withTimeout(ANSWER_MS, view)) };
    }),
  );
}

/** Opens or closes a gate by hand, or returns it to its rules. @throws when the gate cannot be reached */
export async function operateGate(env: GateEnv, name: GateName, state: OperatorState): Promise<NamedGate> {
  const view: Promise<GateView> = env.PROVIDER_GATE.getByName(name).operate(state);
  return { name, ...(await withTimeout(ANSWER_MS, view)) };
}
