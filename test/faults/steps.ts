import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { AsyncLocalStorage } from "node:async_hooks";
import { Account } from "../../src/account/account.ts";
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

/**
 * One run of one part of the service: a request to the API, a runner, a queue batch, a call of the account, its alarm.
 */
export type Actor = { name: string; scene: Scene; dead: boolean; die: () => void };

class Crashed extends Error {
  override readonly name = "Crashed";
}

/** One run of a scenario: its steps, and the fault that is injected. */
export class Scene {
  readonly steps: string[] = [];
  /** Messages in the queue. */
  messages: unknown[] = [];
  /** Active parts. A call that only waits is not active. */
  readonly running = new Set<Actor>();
  struck: { actor: string; step: string } | null = null;
  readonly #fault: Fault | null;

  constructor(fault: Fault | null) {
    this.#fault = fault;
  }

  /** Records a step. Returns the crash to inject, or null. */
  enter(actor: Actor, kind: string): Crash | null {
    const step = `${actor.name}: ${kind}`;
    const at = this.steps.push(step) - 1;
    if (at !== this.#fault?.at) return null;
    this.struck = { actor: actor.name, step };
    return this.#fault.crash;
  }

  /** Runs work as a named actor until it returns or dies. @throws {Crashed} when the actor died */
  async play<T>(name: string, work: () => T | Promise<T>, die?: () => void, atWork = true): Promise<T> {
    const actor: Actor = { name, scene: this, dead: false, die: () => {} };
    const death = new Promise<never>((_, reject) => {
      actor.die = () => {
        actor.dead = true;
        die?.();
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
}

const actors = new AsyncLocalStorage<Actor | undefined>();
/** The scene of the objects that are called: a call between objects does not carry its caller's actor. */
let current: Scene | null = null;

export function setScene(scene: Scene | null): void {
  current = scene;
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
function stepAtOnce<T>(kind: string, storage: DurableObjectStorage | null, call: () => T): T {
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
  if (storage) void storage.sync().then(() => actor.die());
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
          step(`queue ${name}`, () => post(batch) ?? call()),
    ),
    ...["get", "getByName"].map((name) => wrap(classOf(env.ACCOUNT), name, (call) => watchStub(call()))),
    wrap(storage, "transactionSync", (call, _, owner) =>
      stepAtOnce("storage transaction", owner instanceof Object ? storageOf(owner) : null, call),
    ),
    wrap(storage, "setAlarm", (call) => step("storage setAlarm", call)),
    wrap(sql, "exec", (call, [query]) => {
      const [write] = /^(INSERT|UPDATE|DELETE)( INTO| FROM)? \w+/.exec(String(query)) ?? [];
      return write === undefined ? call() : stepAtOnce(`storage ${write}`, null, call);
    }),
    ...Object.getOwnPropertyNames(Account.prototype).filter(isMethod).map(watchMethod),
    wrap(GenerationRunner.prototype, "run", (call) => current?.play("runner", call) ?? call()),
  ];
  await upload.abort();
  return () => {
    for (const back of undo) back();
  };
}

const isMethod = (name: string) => name !== "constructor" && name !== "alarm";

/** Runs a call of the account as an actor. A call that waits is not active. */
function watchMethod(name: string) {
  return wrap(Account.prototype, name, (call, _, owner) => {
    const actor = actors.getStore();
    // A method called by another method is part of that one.
    if (current === null || actor !== undefined) return call();
    return current.play("account", call, abortOf(owner), name !== "wait");
  });
}

/** Resets an object as the platform does: its memory is lost, and its callers get an error. */
export function abortOf(account: object): () => void {
  const state: DurableObjectState = Reflect.get(account, "ctx");
  const scene = current;
  return () => {
    for (const actor of scene?.running ?? []) {
      if (actor.name !== "account" && actor.name !== "alarm") continue;
      actor.dead = true;
      scene?.running.delete(actor);
    }
    state.abort("the object died");
  };
}

function storageOf(owner: object): DurableObjectStorage {
  const storage: unknown = owner;
  if (!isStorage(storage)) throw new Error("A transaction belongs to a storage.");
  return storage;
}

function isStorage(value: unknown): value is DurableObjectStorage {
  return typeof value === "object" && value !== null && "sync" in value;
}

/** Collects messages instead of the queue; the scenario delivers them later. */
function post(batch: unknown): object | null {
  if (current === null || !Array.isArray(batch)) return null;
  for (const { body } of batch) current.messages.push(body);
  return {};
}

function watchStub(stub: unknown): unknown {
  if (actors.getStore() === undefined || typeof stub !== "object" || stub === null) return stub;
  return new Proxy(stub, {
    get(target, method) {
      const member: unknown = Reflect.get(target, method);
      if (typeof member !== "function") return member;
      const owner = method === "run" || method === "stay" ? "runner" : "account";
      return (...parameters: unknown[]) =>
        step(`${owner}.${String(method)}`, () => Reflect.apply(member, target, parameters));
    },
  });
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
