import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { AsyncLocalStorage } from "node:async_hooks";
import { Account } from "../../src/account/account.ts";
import { ProviderGate } from "../../src/dispatch/provider-gate.ts";
import { GenerationRunner } from "../../src/generations/runner.ts";

/**
 * Records every step of the running service outside its own memory (storage, D1, R2, the queue, other objects, the
 * provider) and makes one of them fail. Tests share the Worker's isolate, and so the classes of its bindings. All their
 * methods are wrapped, so that a new kind of step is recorded without a change here.
 */

/** How a step can fail. `dies`: the actor loses its memory; its storage stays. */
export const CRASHES = ["refused", "reply lost", "dies before", "dies after"] as const;
export type Crash = (typeof CRASHES)[number];
export type Fault = { at: number; crash: Crash };

/** One run of one part of the service: a request to the API, a runner, a queue batch, a call of an object, its alarm. */
export type Actor = {
  name: string;
  scene: Scene;
  /** The object with storage that it runs in, or null. */
  object: object | null;
  dead: boolean;
  die: () => void;
};

class Crashed extends Error {
  override readonly name = "Crashed";
}

/** One run of a scenario: its steps, and the fault that is injected. */
export class Scene {
  readonly steps: string[] = [];
  /** Messages in the queue. */
  messages: unknown[] = [];
  /** The alarm of the gate. Recorded here, because reading it from the gate would start a gate that died. */
  gateAlarm: number | null = null;
  /** Whether the gate loses its storage before that alarm. */
  gateForgets = false;
  /** Active parts. A call that only waits is not active. */
  readonly running = new Set<Actor>();
  /** The step that failed; `at`: its place among the steps. */
  struck: { actor: string; step: string; at: number } | null = null;
  readonly #fault: Fault | null;

  constructor(fault: Fault | null) {
    this.#fault = fault;
  }

  /** Records a step. Returns the crash to inject, or null. */
  enter(actor: Actor, kind: string): Crash | null {
    const step = `${actor.name}: ${kind}`;
    const at = this.steps.push(step) - 1;
    if (at !== this.#fault?.at) return null;
    this.struck = { actor: actor.name, step, at };
    return this.#fault.crash;
  }

  /**
   * Runs work as a named actor until it returns or dies.
   * @param object the object with storage that dies with the actor, or null
   * @throws {Crashed} when the actor died
   */
  async play<T>(
    name: string,
    work: () => T | Promise<T>,
    object: object | null = null,
    atWork = true,
  ): Promise<T> {
    const actor: Actor = { name, scene: this, object, dead: false, die: () => {} };
    const death = new Promise<never>((_, reject) => {
      actor.die = () => {
        actor.dead = true;
        if (object) this.#abort(object);
        reject(new Crashed(`${name} is dead`));
      };
    });
    if (atWork) this.running.add(actor);
    try {
      return await Promise.race([actors.run(actor, async () => work()), death]);
    } finally {
      this.running.delete(actor);
    }
  }

  /** Resets an object as the platform does: its memory is lost, and its callers get an error. */
  #abort(object: object): void {
    for (const actor of this.running) {
      if (actor.object !== object) continue;
      actor.dead = true;
      this.running.delete(actor);
    }
    stateOf(object).abort("the object died");
  }
}

function stateOf(object: object): DurableObjectState {
  return Reflect.get(object, "ctx");
}

const actors = new AsyncLocalStorage<Actor | undefined>();
/** The scene of the objects that are called: a call between objects does not carry its caller's actor. */
let current: Scene | null = null;

export function setScene(scene: Scene | null): void {
  current = scene;
}

/** Runs work that is no step of the current actor. */
export function withoutActor<T>(work: () => T): T {
  return actors.exit(work);
}

/** Whether the current actor is the gate or its alarm. */
export function isGate(): boolean {
  return actors.getStore()?.name.startsWith("gate") === true;
}

/** Kills the current actor. */
export function dieNow(): Promise<never> {
  actors.getStore()?.die();
  return never();
}

/** Runs an asynchronous step. */
export async function step<T>(kind: string, call: () => T | Promise<T>): Promise<T> {
  const actor = actors.getStore();
  if (!actor) return await call();
  if (actor.dead) return await never();
  const crash = actor.scene.enter(actor, kind);
  if (crash === "dies before") actor.die();
  if (actor.dead) return await never();
  if (crash === "refused") throw new Crashed(`${kind}: ${crash}`);
  const waits = kind === "account.wait";
  if (waits) actor.scene.running.delete(actor);
  const result = await Promise.resolve(actors.exit(call)).finally(() => {
    if (waits && !actor.dead) actor.scene.running.add(actor);
  });
  if (crash === "dies after") actor.die();
  if (actor.dead) return await never();
  if (crash !== null) throw new Crashed(`${kind}: ${crash}`);
  return result;
}

/** A dead actor waits for this. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** Runs a synchronous step of an object's own storage. An error inside a transaction rolls it back. */
function stepAtOnce<T>(kind: string, call: () => T): T {
  const actor = actors.getStore();
  if (!actor) return call();
  if (actor.dead) throw new Crashed(`${actor.name} is dead`);
  const crash = actor.scene.enter(actor, kind);
  if (crash === "dies before") actor.die();
  if (crash === "dies before" || crash === "refused") throw new Crashed(`${kind}: ${crash}`);
  const result = call();
  if (crash === null) return result;
  // Waits until the write is on disk: otherwise it would be lost with the object.
  actor.dead = true;
  if (actor.object)
    void stateOf(actor.object)
      .storage.sync()
      .then(() => actor.die());
  throw new Crashed(`${kind}: ${crash}`);
}

type Method = (...parameters: unknown[]) => unknown;
type Seen = (call: () => unknown, parameters: unknown[], owner: object) => unknown;

const BUILDERS = new Set(["constructor", "prepare", "bind", "withSession", "metrics"]);

/** Wraps every outside call of the service. Returns a function that undoes it. */
export async function watchSteps(): Promise<() => void> {
  const [storage, sql] = await runInDurableObject(env.ACCOUNT.getByName(crypto.randomUUID()), (_, state) => [
    classOf(state.storage),
    classOf(state.storage.sql),
  ]);
  const upload = await env.IMAGES.createMultipartUpload("none");
  const undo = [
    ...wrapAll(classOf(env.DB), (name) => (call) => step(`D1 ${name}`, call)),
    ...wrapAll(classOf(env.DB.prepare("")), (name) => (call) => step(`D1 ${name}`, call)),
    ...wrapAll(classOf(env.IMAGES), (name) => (call, parameters) => step(r2Kind(name, parameters), call)),
    ...wrapAll(classOf(upload), (name) => (call, _, owner) => step(r2Kind(name, [owner]), call)),
    ...wrapAll(
      classOf(env.GENERATIONS),
      (name) =>
        (call, [batch]) =>
          step(`queue ${name}`, () => post(name, batch) ?? call()),
    ),
    ...["get", "getByName"].map((name) => wrap(classOf(env.ACCOUNT), name, (call) => watchStub(call()))),
    wrap(storage, "transactionSync", (call) => stepAtOnce("storage transaction", call)),
    wrap(storage, "setAlarm", (call, [at]) =>
      step("storage setAlarm", () => {
        recordAlarm(Number(at));
        return call();
      }),
    ),
    wrap(sql, "exec", (call, [query]) => {
      const [write] = /^(INSERT( OR REPLACE)? INTO|UPDATE|DELETE FROM) \w+/.exec(String(query)) ?? [];
      return write === undefined ? call() : stepAtOnce(`storage ${write}`, call);
    }),
    ...methodsOf(Account).map((method) => watchMethod(Account, "account", method)),
    ...methodsOf(ProviderGate).map((method) => watchMethod(ProviderGate, "gate", method)),
    wrap(GenerationRunner.prototype, "run", (call, _, owner) => {
      // All objects of a Worker share one environment, whose settings are parsed once. A scenario may have others.
      Reflect.set(owner, "env", { ...env });
      return current?.play("runner", call) ?? call();
    }),
  ];
  await upload.abort();
  return () => {
    for (const back of undo) back();
  };
}

type ObjectClass = typeof Account | typeof ProviderGate | typeof GenerationRunner;

function methodsOf({ prototype }: ObjectClass): string[] {
  return Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor" && name !== "alarm");
}

/** Runs a call of an object as an actor. A call that waits is not active. */
function watchMethod({ prototype }: ObjectClass, name: string, method: string) {
  return wrap(prototype, method, (call, _, owner) => {
    const actor = actors.getStore();
    // A method called by another method is part of that one.
    if (current === null || actor !== undefined) return call();
    return current.play(name, call, owner, method !== "wait");
  });
}

/** Records an alarm of the gate. An alarm set without an actor is set by the gate's constructor. */
function recordAlarm(at: number): void {
  if (current !== null && (actors.getStore() === undefined || isGate())) current.gateAlarm = at;
}

/** Collects messages instead of the queue; the scenario delivers them later. */
function post(method: string, sent: unknown): object | null {
  if (current === null) return null;
  if (method === "send") current.messages.push(sent);
  else if (Array.isArray(sent)) for (const { body } of sent) current.messages.push(body);
  return {};
}

function watchStub(stub: unknown): unknown {
  if (actors.getStore() === undefined || typeof stub !== "object" || stub === null) return stub;
  return new Proxy(stub, {
    get(target, method) {
      const member: unknown = Reflect.get(target, method);
      if (typeof member !== "function") return member;
      return (...parameters: unknown[]) =>
        step(`${ownerOf(String(method))}.${String(method)}`, () => Reflect.apply(member, target, parameters));
    },
  });
}

function ownerOf(method: string): string {
  if (methodsOf(GenerationRunner).includes(method)) return "runner";
  return methodsOf(ProviderGate).includes(method) ? "gate" : "account";
}

function r2Kind(name: string, [first]: unknown[]): string {
  const subject = JSON.stringify(
    typeof first === "object" && first !== null && "key" in first ? first.key : first,
  );
  return `R2 ${name} ${/img_|prefix/.test(subject) ? "image" : "reference"}`;
}

function classOf(instance: object): object {
  return Object.getPrototypeOf(instance);
}

function wrapAll(owner: object, seenAs: (name: string) => Seen): (() => void)[] {
  return Object.getOwnPropertyNames(owner)
    .filter((name) => !BUILDERS.has(name) && !name.startsWith("_"))
    .filter((name) => typeof Object.getOwnPropertyDescriptor(owner, name)?.value === "function")
    .map((name) => wrap(owner, name, seenAs(name)));
}

function wrap(owner: object, name: string, seen: Seen): () => void {
  const original: Method = Reflect.get(owner, name);
  const watched = function (this: object, ...parameters: unknown[]) {
    return seen(() => Reflect.apply(original, this, parameters), parameters, this);
  };
  Object.defineProperty(owner, name, { value: watched, configurable: true, writable: true });
  return () => Object.defineProperty(owner, name, { value: original, configurable: true, writable: true });
}
