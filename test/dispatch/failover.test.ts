import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { makeImages, type SavedTask, type Work } from "../../src/dispatch/call.ts";
import type { CallOutcome, TakeAnswer } from "../../src/dispatch/gate.ts";
import type { Route } from "../../src/dispatch/routes.ts";
import type { ProviderFailure } from "../../src/providers/provider.ts";
import { requestOf } from "../generations/requests.ts";
import { png } from "../images/samples.ts";
import { spyOnLog } from "../support/log.ts";
import { type ScriptedProvider, type Step, scripted, UNAVAILABLE } from "../support/provider.ts";

const A = png(1, 1);
const GO: TakeAnswer = { kind: "go", report: true, isProbe: false };
const U = UNAVAILABLE;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
  spyOnLog();
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What each route's gate answers, call by call; `go` after the last. */
type Gates = Partial<Record<Route["name"], (TakeAnswer | "down")[]>>;

type Options = { n?: number; attempts?: number; gates?: Gates; task?: SavedTask; interrupted?: boolean };

/** Runs `makeImages` over two routes that follow the scripts, and tells what happened. */
async function make(first: Step[][], second: Step[][], options: Options = {}) {
  const { n = 1, attempts = 3, gates = {}, task = null, interrupted = false } = options;
  const providers = { openai: scripted(...first), "openai-fallback": scripted(...second) };
  const routes = (["openai", "openai-fallback"] as const).map(
    (name): Route => ({ name, provider: providers[name], providerModel: `model-of-${name}`, gate: name }),
  );
  let stored = 0;
  const seen = {
    calls: [] as string[],
    waits: [] as string[],
    reports: [] as [string, CallOutcome["kind"]][],
    allowed: 0,
    tasks: [] as SavedTask[],
  };
  const work: Work = {
    ...{ generationId: "gen_1", options: requestOf(n), references: [], n, interrupted, task },
    ...{ until: Date.now() + 600_000, signal: new AbortController().signal },
    stored: () => stored,
    async store(body) {
      await new Response(body).bytes();
      stored++;
      return "stored";
    },
    allowCall: async () => ++seen.allowed <= attempts,
    async take({ name }, _images, _isAgain, mayWait) {
      const answer = gates[name]?.shift() ?? GO;
      if (mayWait) seen.waits.push(name);
      if (answer === "down") return { kind: "wait", until: null };
      return answer;
    },
    async report({ name }, { kind }) {
      seen.reports.push([name, kind]);
    },
    async saveTask(saved) {
      seen.tasks.push(saved);
    },
  };
  for (const [name, provider] of Object.entries(providers)) {
    const { generate } = provider;
    provider.generate = (request, given) => {
      seen.calls.push(`${name} ${request.n}+${request.offset}`);
      return generate(request, given);
    };
  }
  const outcome = makeImages(routes, work);
  await vi.runAllTimersAsync();
  return { ...seen, outcome: await outcome, stored, providers };
}

const failedWith = (failure: object) => ({ kind: "failed", failure });

describe("the next route", () => {
  it.each<[what: string, ProviderFailure]>([
    ["is down", U],
    ["is misconfigured or out of quota", { reason: "misconfigured" }],
    ["does not respond in time", { reason: "timeout" }],
    ["loses an image", { reason: "undelivered" }],
    ["turns the call away", { reason: "limited", by: "rate", retryAfterMs: 60_000 }],
  ])("is called at once when the first %s", async (_, failure) => {
    const started = Date.now();
    const { outcome, stored, calls } = await make([[failure]], [[A]]);
    expect([outcome, stored, calls]).toEqual([{ kind: "made" }, 1, ["openai 1+0", "openai-fallback 1+0"]]);
    expect(Date.now() - started).toBe(0);
  });

  it("is asked for the missing images only", async () => {
    const { outcome, stored, calls } = await make([[A, U]], [[A, A]], { n: 3 });
    expect([outcome, stored]).toEqual([{ kind: "made" }, 3]);
    expect(calls).toEqual(["openai 3+0", "openai-fallback 2+1"]);
  });

  it.each<ProviderFailure>([{ reason: "refused" }, { reason: "unreadable" }, { reason: "invalid" }])(
    "is never called after $reason",
    async (failure) => {
      const { outcome, calls } = await make([[failure]], [[A]]);
      expect([outcome, calls]).toEqual([failedWith(failure), ["openai 1+0"]]);
    },
  );

  it("gets its own name of the model", async () => {
    const { providers } = await make([[U]], [[A]]);
    expect(providers["openai-fallback"].requests).toMatchObject([
      { providerModel: "model-of-openai-fallback" },
    ]);
  });

  it("is called without a call of the first whose gate is closed", async () => {
    const { outcome, calls, waits } = await make([[A]], [[A]], { gates: { openai: ["down"] } });
    expect([outcome, calls, waits]).toEqual([{ kind: "made" }, ["openai-fallback 1+0"], []]);
  });
});

describe("a round over all routes", () => {
  it("begins again with the first, after a wait", async () => {
    const started = Date.now();
    const { outcome, calls } = await make([[U], [A]], [[U]]);
    expect([outcome, calls]).toEqual([{ kind: "made" }, ["openai 1+0", "openai-fallback 1+0", "openai 1+0"]]);
    expect(Date.now() - started).toBeGreaterThanOrEqual(500);
  });

  it("leaves out a misconfigured route, and fails when no other is left", async () => {
    const misconfigured: ProviderFailure = { reason: "misconfigured" };
    const { outcome, calls } = await make([[misconfigured], [A]], [[U], [misconfigured]]);
    expect(outcome).toEqual(failedWith(misconfigured));
    expect(calls).toEqual(["openai 1+0", "openai-fallback 1+0", "openai-fallback 1+0"]);
  });

  it.each([1, 2, 3, 4])("makes %i attempts over all routes, and no more", async (attempts) => {
    const { outcome, calls, allowed } = await make([[U], [U], [U]], [[U], [U], [U]], { attempts });
    expect([outcome, calls.length, allowed]).toEqual([
      failedWith({ reason: "exhausted" }),
      attempts,
      attempts + 1,
    ]);
  });

  it("repeats a call once whose images may have been billed", async () => {
    const lost: ProviderFailure = { reason: "undelivered" };
    const { outcome, calls } = await make([[lost], [A]], [[lost]], { attempts: 9 });
    expect([outcome, calls.length]).toEqual([failedWith(lost), 2]);
  });

  it("waits for the provider whose turn comes first when all are busy", async () => {
    const at = (until: number): TakeAnswer => ({ kind: "wait", until });
    const gates: Gates = { openai: [at(9_000)], "openai-fallback": [at(5_000), at(5_000)] };
    const { outcome, calls, waits } = await make([[A]], [[A]], { gates });
    expect([outcome, calls, waits]).toEqual([{ kind: "waits", until: 5_000 }, [], ["openai-fallback"]]);
  });

  it("waits for the first when all are down", async () => {
    const { outcome, waits } = await make([], [], {
      gates: { openai: ["down", "down"], "openai-fallback": ["down"] },
    });
    expect([outcome, waits]).toEqual([{ kind: "waits", until: null }, ["openai"]]);
  });
});

it("reports each outcome to the gate of its route, and a misconfigured provider as down", async () => {
  const { reports } = await make([[{ reason: "misconfigured" }]], [[A]]);
  expect(reports).toEqual([
    ["openai", "failed"],
    ["openai-fallback", "answered"],
  ]);
});

it("does not count a probe that finds the provider still down", async () => {
  const probe: TakeAnswer = { kind: "go", report: true, isProbe: true };
  const { outcome, allowed, calls } = await make([[U]], [[A]], { gates: { openai: [probe] } });
  expect([outcome, allowed, calls.length]).toEqual([{ kind: "made" }, 1, 2]);
});

describe("a saved task", () => {
  const task: SavedTask = { provider: "openai-fallback", state: "task-1" };
  const taskOf = (provider: ScriptedProvider, seen: (string | null | undefined)[]) => {
    const { generate } = provider;
    provider.generate = (request, options) => {
      seen.push(options.task?.saved);
      return generate(request, options);
    };
  };

  it("is polled on by its own provider first, without an attempt and without the gate", async () => {
    const gates: Gates = { openai: ["down"], "openai-fallback": ["down"] };
    const { outcome, calls, allowed } = await make([[A]], [[A]], { task, gates, interrupted: true });
    expect([outcome, calls, allowed]).toEqual([{ kind: "made" }, ["openai-fallback 1+0"], 0]);
  });

  it("is given to its provider once", async () => {
    const seen: (string | null | undefined)[] = [];
    const provider = scripted([U], [A]);
    taskOf(provider, seen);
    const route: Route = { name: "openai", provider, providerModel: "x", gate: null };
    const work = workWith({ task: { provider: "openai", state: "task-2" } });
    const outcome = makeImages([route], work);
    await vi.runAllTimersAsync();
    expect([await outcome, seen]).toEqual([{ kind: "made" }, ["task-2", null]]);
  });

  it("does not count as lost, so the images may be bought once more", async () => {
    const lost: ProviderFailure = { reason: "undelivered" };
    const { outcome, calls } = await make([[A]], [[lost]], { task, interrupted: true });
    expect([outcome, calls]).toEqual([{ kind: "made" }, ["openai-fallback 1+0", "openai 1+0"]]);
  });

  it("of a route that is no longer configured is left", async () => {
    const { calls, allowed } = await make([[A]], [[A]], { task: { provider: "gone", state: "x" } });
    expect([calls, allowed]).toEqual([["openai 1+0"], 1]);
  });

  it("is stored under its provider's name", async () => {
    const provider = scripted([A]);
    const { generate } = provider;
    provider.generate = async function* (request, options) {
      await options.task?.save("task-3");
      yield* generate(request, options);
    };
    const saved: SavedTask[] = [];
    const work = workWith({ saveTask: async (given) => void saved.push(given) });
    await makeImages([{ name: "openai", provider, providerModel: "x", gate: null }], work);
    expect(saved).toEqual([{ provider: "openai", state: "task-3" }]);
  });
});

/** Work for one image that any gate lets through. */
function workWith(changes: Partial<Work>): Work {
  let stored = 0;
  return {
    ...{ generationId: "gen_1", options: requestOf(1), references: [], n: 1, interrupted: false, task: null },
    ...{ until: Date.now() + 600_000, signal: new AbortController().signal },
    stored: () => stored,
    async store(body) {
      await new Response(body).bytes();
      stored++;
      return "stored";
    },
    allowCall: async () => true,
    take: async () => GO,
    report: async () => {},
    saveTask: async () => {},
    ...changes,
  };
}
