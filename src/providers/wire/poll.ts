import * as z from "zod";
import {
  type ImageRequest,
  type ProvidedImage,
  type Provider,
  ProviderError,
  type ProviderFailure,
  type Reference,
} from "../provider.ts";
import { type BodyPart, streamParts } from "./body.ts";
import { readBytes } from "./bytes.ts";
import { type CallLog, eventOf, outcomeOf, printable } from "./call.ts";
import { LONG_MS, retryAfterMs, timedOut, unavailable, undelivered } from "./failure.ts";
import { type Progress, readImage } from "./image.ts";

import { openPicture } from "./picture.ts";

/**
 * Providers that accept work at once and are polled for its result. An image is a task of its own. Tasks are submitted
 * side by side and polled one after another, because images are yielded in the order of their tasks. Their URLs are
 * saved before the first poll, so that a run that takes over polls on and buys nothing.
 */

/** The longest saved state, in characters. */
export const STATE_LENGTH_MAX = 4_096;
/** The most polls of one URL. At the longest interval, they last longer than any run. */
export const POLLS_MAX = 240;
/** How many polls in a row may fail. A poll is free, and a lost image is not. */
export const POLL_FAILURES_MAX = 20;
/** The longest JSON body that is read. A result repeats the prompt. */
export const ANSWER_BYTES_MAX = 1 << 20;
/** The longest pause in a response. */
const IDLE_MS = 60_000;
/** The first wait between two polls. It grows to ten times that. */
const POLL_WAIT_MS = 500;
const POLL_WAIT_GROWTH = 1.25;
/** The longest wait that a provider can ask for between two polls. */
const POLL_WAIT_MS_MAX = 30_000;
const POLL_MS_MAX = 15_000;
/** References are sent within this time too. */
const SUBMIT_MS_MAX = 120_000;
const CANCEL_MS_MAX = 2_000;

export type PolledOptions = {
  apiKey: string;
  /** Without a path. */
  baseUrl: string;
  /** Called at the end of each call. */
  log: CallLog;
  idleMs?: number;
  pollWaitMs?: number;
};

/** A task for one image, as it is saved. */
const taskShape = z.object({
  /** The provider's id, for the log. */
  id: z.string(),
  pollUrl: z.string(),
  /** Where the result is, if the answer to a poll does not have it. */
  resultUrl: z.string().nullable().default(null),
  cancelUrl: z.string().nullable().default(null),
});
export type Task = z.infer<typeof taskShape>;

const stateShape = z.object({
  /** How many images of the generation were stored before those of these tasks. */
  offset: z.int().min(0),
  tasks: z.array(taskShape),
});

/** The outcome of a task. After an end without an image, it is never polled again. */
export type TaskEnd = { kind: "image"; url: string } | { kind: "none"; failure: ProviderError };

/** What differs between the providers. */
export type PolledApi = PolledOptions & {
  name: string;
  /** They contain the key. */
  headers: Record<string, string>;
  /** Whether the key may be sent to this host, besides that of `baseUrl`. */
  isHost(hostname: string): boolean;
  /** @throws {ProviderError} when the provider does not accept the task */
  submit(request: ImageRequest, references: readonly Reference[], call: PolledCall): Promise<Task>;
  /** Polls until the task has ended. @throws {ProviderError} when that cannot be learned; the task is kept */
  wait(task: Task, call: PolledCall): Promise<TaskEnd>;
};

type Facts = { status: number | null; code: string | null; requestId: string | null };

/** The state of a call. */
export type PolledCall = Progress & {
  facts: Facts;
  signal: AbortSignal;
  /** The tasks whose images have not been opened, in order. */
  rest: readonly Task[];
  /** Whether the provider has not begun the first of them, as far as its last answer tells. */
  isQueued: boolean;
  /** Whether another run can find them. */
  saved: boolean;
};

/** A response, its body parsed; null when it is not JSON, or did not arrive whole. */
export type Answer = { ok: boolean; status: number; headers: Headers; body: unknown };

/** A failure with the facts of the response that shows it. */
class AnswerError extends ProviderError {
  readonly facts: Facts;

  constructor(failure: ProviderFailure, detail: string, facts: Facts) {
    super(failure, detail);
    this.facts = facts;
  }
}

type Options = Parameters<Provider["generate"]>[1];

/** Yields the images of the tasks in order, and throws the gravest failure after the last image. */
export async function* generatePolled(
  api: PolledApi,
  request: ImageRequest,
  { references, signal, task }: Options,
): AsyncGenerator<ProvidedImage, void> {
  const facts = { status: null, code: null, requestId: null };
  const call: PolledCall = {
    ...{ images: 0, broken: null, facts, signal },
    ...{ rest: [], isQueued: false, saved: false },
  };
  let ended = false;
  try {
    yield* readTasks(api, request, references, task, call);
    ended = true;
  } catch (error) {
    call.broken = error;
    if (error instanceof AnswerError) call.facts = error.facts;
    throw error instanceof ProviderError ? withFacts(api, error, call) : error;
  } finally {
    // No run waits for these tasks any more. If another run does after all, it buys them again: none was begun, because
    // the provider begins them in order.
    const isAbandoned = call.isQueued && (signal.aborted || !call.saved);
    if (isAbandoned) await Promise.all(call.rest.map((task) => cancel(api, task)));
    const outcome = outcomeOf(call.broken, ended);
    api.log(eventOf(outcome), logFields(api, outcome, call, request.generationId));
  }
}

async function* readTasks(
  api: PolledApi,
  request: ImageRequest,
  references: readonly Reference[],
  saver: Options["task"],
  call: PolledCall,
): AsyncGenerator<ProvidedImage, void> {
  const saved = saver?.saved ?? null;
  const found =
    saved === null ? await submitAll(api, request, references, call) : findTasks(api, request, saved);
  let { tasks, failure } = found;
  if (tasks.length === 0 && failure) throw failure;
  const all = tasks;
  call.rest = all;
  call.saved = saved !== null;
  if (saved === null) await save(saver, request.offset, tasks, call);
  for (const [index, task] of all.entries()) {
    call.rest = all.slice(index);
    const end = await open(api, task, call);
    call.isQueued = false;
    if (end.kind === "image") {
      yield* readBody(end.body, call);
      continue;
    }
    failure = graver(failure, end.failure);
    tasks = tasks.filter((other) => other !== task);
    await save(saver, request.offset, tasks, call);
  }
  if (failure) throw failure;
}

/** `failure`: why there are fewer tasks than images are wanted. */
type FoundTasks = { tasks: readonly Task[]; failure: ProviderError | null };

/**
 * The tasks that an earlier run has saved, without those whose images it has stored: tasks that ended without an image
 * are not in the list. None when the state cannot be read. Nothing is bought for images without a task: that takes
 * another call.
 */
function findTasks(api: PolledApi, { offset, n }: ImageRequest, saved: string): FoundTasks {
  const state = stateShape.safeParse(parseJson(saved));
  const isReadable = state.success && state.data.offset <= offset;
  const left = isReadable ? state.data.tasks.slice(offset - state.data.offset).slice(0, n) : [];
  const urls = left.flatMap(({ pollUrl, resultUrl, cancelUrl }) => [pollUrl, resultUrl, cancelUrl]);
  const tasks = urls.every((url) => url === null || ownUrl(api, url) !== null) ? left : [];
  return { tasks, failure: tasks.length < n ? undelivered("an earlier run lost images") : null };
}

/** Submits a task for each image, side by side. Those that were accepted are kept, whatever becomes of the others. */
async function submitAll(
  api: PolledApi,
  request: ImageRequest,
  references: readonly Reference[],
  call: PolledCall,
): Promise<FoundTasks> {
  const submissions = Array.from({ length: request.n }, () => api.submit(request, references, call));
  const tasks: Task[] = [];
  let failure: ProviderError | null = null;
  for (const result of await Promise.allSettled(submissions)) {
    if (result.status === "fulfilled") tasks.push(result.value);
    else if (result.reason instanceof ProviderError) failure = graver(failure, result.reason);
    else throw result.reason;
  }
  return { tasks, failure };
}

/** @throws {ProviderError} `undelivered` when the state cannot be stored, or is too long */
async function save(
  saver: Options["task"],
  offset: number,
  tasks: readonly Task[],
  call: PolledCall,
): Promise<void> {
  if (!saver) return;
  call.saved = false;
  const state = JSON.stringify({ offset, tasks });
  if (state.length > STATE_LENGTH_MAX) throw undelivered("the tasks' state is too long");
  await saver.save(state).catch(() => {
    throw undelivered("the tasks could not be saved");
  });
  call.saved = true;
}

type OpenedTask =
  | { kind: "image"; body: ReadableStream<Uint8Array> }
  | { kind: "none"; failure: ProviderError };

/** Waits for the task's end, and opens its image at once: its URL expires. */
async function open(api: PolledApi, task: Task, call: PolledCall): Promise<OpenedTask> {
  const { baseUrl, idleMs = IDLE_MS } = api;
  const { signal } = call;
  call.facts = { status: null, code: null, requestId: printableId(task.id) };
  const end = await api.wait(task, call);
  if (end.kind === "none") return end;
  try {
    return { kind: "image", body: await openPicture(end.url, { baseUrl, idleMs, signal }) };
  } catch (error) {
    // Aborted, the image may still be there for the next run.
    if (!(error instanceof ProviderError) || signal.aborted) throw error;
    return { kind: "none", failure: error };
  }
}

async function* readBody(
  body: ReadableStream<Uint8Array>,
  call: PolledCall,
): AsyncGenerator<ProvidedImage, void> {
  const reader = body.getReader();
  try {
    yield* readImage(async () => (await reader.read()).value ?? null, call);
  } finally {
    await reader.cancel().catch(() => null);
  }
}

/** A refusal by the content policy is final, so it decides over other failures of the same call. */
function graver(first: ProviderError | null, second: ProviderError): ProviderError {
  return first === null || second.failure.reason === "refused" ? second : first;
}

/**
 * Sends the parts of a JSON object to a path.
 * @throws {ProviderError} when no complete response arrives
 */
export async function submit(
  api: PolledApi,
  path: string,
  parts: readonly BodyPart[],
  call: PolledCall,
): Promise<Answer> {
  const startedAt = Date.now();
  const body = streamParts(parts, call.signal);
  const init = { method: "POST", headers: { "content-type": "application/json" }, body };
  const answer = await ask(api, api.baseUrl.replace(/\/+$/, "") + path, init, SUBMIT_MS_MAX, call);
  if (answer !== null) return answer;
  const detail = call.signal.aborted ? "aborted" : "no response";
  throw Date.now() - startedAt >= LONG_MS ? timedOut(detail) : unavailable(detail);
}

/**
 * Polls a URL until `read` finds the end of what it waits for. `read` returns null for an answer that it does not
 * understand: its status then decides. Server errors and lost answers are polled again.
 * @throws {ProviderError} when the key is refused, and after too many polls; the task may still end with an image
 */
export async function poll<T>(
  api: PolledApi,
  url: string,
  call: PolledCall,
  read: (answer: Answer) => T | "again" | null,
): Promise<T | TaskEnd> {
  let failures = 0;
  for (let polls = 1; ; polls++) {
    const answer = await ask(api, url, { method: "GET" }, POLL_MS_MAX, call);
    if (call.signal.aborted) throw timedOut("aborted");
    const result = answer && (read(answer) ?? endByStatus(answer, call));
    failures = result === null ? failures + 1 : 0;
    if (result !== null && result !== "again") return result;
    if (failures > POLL_FAILURES_MAX) throw undelivered("no answer to polls");
    if (polls === POLLS_MAX) throw timedOut("not finished after the last poll");
    await pause(waitMs(api, polls, answer), call.signal);
  }
}

/** The meaning of a poll's status; null when the poll has to be repeated. */
function endByStatus(answer: Answer, call: PolledCall): TaskEnd | null {
  const { status } = answer;
  if (answer.ok || status >= 500 || [408, 425, 429].includes(status)) return null;
  // A redirect would send the key to another host.
  if (status < 400 || [401, 402, 403, 405, 407].includes(status)) {
    throw answerError({ reason: "misconfigured" }, "poll refused", answer, call.facts);
  }
  return ended({ reason: "undelivered" }, "the task is gone", answer, call.facts);
}

/** An end without an image. */
export function ended(failure: ProviderFailure, detail: string, answer: Answer, facts: Facts): TaskEnd {
  return { kind: "none", failure: answerError(failure, detail, answer, facts) };
}

export function answerError(
  failure: ProviderFailure,
  detail: string,
  { status }: Answer,
  { code, requestId }: Omit<Facts, "status">,
): ProviderError {
  return new AnswerError(failure, detail, { status, code, requestId });
}

/** Classifies the refusal of a task by its status. `limit` is what a 429 of the provider means. */
export function failureOfStatus(answer: Answer, limit: "rate" | "concurrency"): ProviderFailure {
  const { status, headers, body } = answer;
  if (status < 400 || [401, 402, 403, 404, 405, 407, 410].includes(status)) {
    return { reason: "misconfigured" };
  }
  const wait = retryAfterMs(headers, Date.now());
  if (status === 429) return { reason: "limited", by: limit, retryAfterMs: wait };
  // The gateway timed out; the provider may have accepted the task. 522 and 524 are Cloudflare's.
  if ([504, 522, 524].includes(status)) return { reason: "timeout" };
  const isRefused = status < 500 && ![408, 409, 425].includes(status);
  // Without JSON, a gateway refused the request, not the provider. It may accept it later.
  if (isRefused && (body !== null || status === 413)) return { reason: "invalid" };
  return { reason: "unavailable", retryAfterMs: wait };
}

/** The URL, if the key may be sent there: over https to a host of the provider, or to the origin of `baseUrl`. */
export function ownUrl({ baseUrl, isHost }: PolledApi, address: string): string | null {
  const url = URL.parse(address);
  if (url === null || url.username !== "" || url.password !== "") return null;
  const isOwn = url.protocol === "https:" && url.port === "" && isHost(url.hostname);
  return isOwn || url.origin === new URL(baseUrl).origin ? url.href : null;
}

/** An upstream name, such as a status, in the form of a code for the log. */
export function codeOf(name: string | null): string | null {
  return printable(name?.toLowerCase().replaceAll(" ", "_") ?? null);
}

export function printableId(id: string | null): string | null {
  return printable(id, /^[!-~]{1,128}$/);
}

/** Sends one request; null when no response arrives in time, or the call is aborted. */
async function ask(
  api: PolledApi,
  url: string,
  init: { method: string; headers?: Record<string, string>; body?: ReadableStream<Uint8Array> },
  msMax: number,
  call: PolledCall,
): Promise<Answer | null> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), msMax);
  const signal = AbortSignal.any([call.signal, late.signal]);
  const headers = { ...init.headers, ...api.headers, accept: "application/json" };
  try {
    // The key goes to the checked host only.
    const response = await fetch(url, { ...init, headers, redirect: "manual", signal }).catch(() => null);
    if (response === null) return null;
    const { ok, status } = response;
    call.facts.status = status;
    const body = await readJson(response, api.idleMs ?? IDLE_MS, signal);
    return { ok, status, headers: response.headers, body };
  } finally {
    clearTimeout(timer);
  }
}

async function readJson(response: Response, idleMs: number, signal: AbortSignal): Promise<unknown> {
  if (response.body === null) return null;
  const source = readBytes(response.body, { idleMs, signal, bytesMax: ANSWER_BYTES_MAX });
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let bytes = await source.next(); bytes !== null; bytes = await source.next()) {
      text += decoder.decode(bytes, { stream: true });
    }
  } catch (error) {
    if (error instanceof ProviderError) return null;
    throw error;
  } finally {
    await source.cancel();
  }
  return parseJson(text + decoder.decode());
}

/** The value of a JSON text; null when it is not JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** The wait before the next poll: it grows, with jitter of a fifth, and is at least what the provider asks for. */
function waitMs({ pollWaitMs = POLL_WAIT_MS }: PolledApi, polls: number, answer: Answer | null): number {
  const grown = Math.min(pollWaitMs * POLL_WAIT_GROWTH ** (polls - 1), pollWaitMs * 10);
  const asked = answer === null || answer.ok ? null : retryAfterMs(answer.headers, Date.now());
  return Math.max(grown * (0.8 + Math.random() * 0.4), Math.min(asked ?? 0, POLL_WAIT_MS_MAX));
}

/** Resolves after this time, or when the signal aborts. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}

/** Best effort: the provider may have begun, and whatever it answers changes nothing. */
async function cancel({ headers }: PolledApi, { cancelUrl }: Task): Promise<void> {
  if (cancelUrl === null) return;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), CANCEL_MS_MAX);
  const init: RequestInit = { method: "PUT", headers, redirect: "manual", signal: late.signal };
  const response = await fetch(cancelUrl, init).catch(() => null);
  await response?.body?.cancel().catch(() => undefined);
  clearTimeout(timer);
}

function withFacts({ name }: PolledApi, error: ProviderError, { facts }: PolledCall): ProviderError {
  const { status, code, requestId } = facts;
  const detail = `${name}: ${error.message} (status ${status}, code ${code}, request ${requestId})`;
  return new ProviderError(error.failure, detail);
}

function logFields({ name }: PolledApi, outcome: string, call: PolledCall, generationId: string) {
  const { status, code, requestId } = call.facts;
  return {
    provider: name,
    outcome,
    status,
    code,
    // Never upstream text: a ProviderError contains none.
    detail: call.broken instanceof ProviderError ? call.broken.message : null,
    images: call.images,
    upstream_request_id: requestId,
    generation_id: generationId,
  };
}
