import { createHash } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { directionsIn } from "./openai-double/faults.ts";
import { drawImage, type ImageSpec } from "./openai-double/images.ts";

/**
 * What the doubles of polled providers share: a server on a loopback port that accepts tasks, answers polls and shows
 * the images. A prompt chooses a fault for its tasks, the bytes of an image and the time until it is ready
 * (`directionsIn`); without a time, the first poll of a task finds it unfinished. `GET /_calls` lists the tasks that were
 * asked for, `DELETE /_calls` forgets them, and `PUT /_fault` with `{"fault":"503"}` sets the fault of all prompts that
 * choose none.
 */
export type PolledDouble = {
  /** The base URL. */
  url: string;
  /** The submissions so far, as `GET /_calls` lists them. */
  submissions: readonly Submission[];
  setFault(fault: string | null): void;
  close(): Promise<void>;
};

export type PolledDoubleOptions = {
  port?: number;
  apiKey?: string;
  fault?: string | null;
  /** The time until a task is ready; 0: it is ready at its second poll. */
  latencyMs?: number;
  imageBytes?: number;
};

/** What `GET /_calls` tells of a task, accepted or not. */
type Submission = {
  id: string;
  path: string;
  headers: Record<string, string | undefined>;
  /** Without the references. */
  fields: Record<string, unknown>;
  references: { contentType: string | null; bytes: number; sha256: string }[];
  fault: string | null;
  status: number | null;
  polls: number;
  results: number;
  downloads: number;
  cancellations: number;
  /** Whether a reader of the image left before its end. */
  hungUp: boolean;
};

export type DoubleTask = { submission: Submission; readyAt: number | null; spec: ImageSpec };

/** With a text as its body, it is sent as HTML; with null, without a body. */
export type Answer = { status: number; headers?: Record<string, string>; body: unknown };

export const BAD_GATEWAY: Answer = { status: 502, body: "<html><h1>502 Bad Gateway</h1></html>" };

/** One provider's wire. */
export type Wire = {
  hasKey(headers: IncomingHttpHeaders, apiKey: string): boolean;
  unauthorized: Answer;
  /** What a request asks for, and of which task. */
  route(method: string, path: string): { kind: "submit" | "poll" | "result" | "cancel"; id: string } | null;
  /** The references of a request, in order. */
  referencesOf(
    fields: Record<string, unknown>,
  ): { name: string; contentType: string | null; base64: string }[];
  /** Checks a request as strictly as the provider does. */
  validate(path: string, fields: Record<string, unknown>): Answer | null;
  imageOf(fields: Record<string, unknown>): Pick<ImageSpec, "format" | "width" | "height">;
  /** Faults by which a task is not accepted. */
  refusals: Record<string, Answer>;
  accepted(task: DoubleTask, origin: string): unknown;
  /** The answer to a poll, to a request for the result, or to a cancellation. */
  answer(kind: "poll" | "result" | "cancel", task: DoubleTask, isReady: boolean, pictureUrl: string): Answer;
};

type State = Required<PolledDoubleOptions> & {
  wire: Wire;
  tasks: Map<string, DoubleTask>;
  submissions: Submission[];
  faultsLeft: Map<string, number>;
  seed: number;
};

const TASKS_MAX = 1_000;
const HEADERS = [
  ...["content-type", "content-length", "transfer-encoding", "accept", "authorization", "x-key"],
  ...["x-fal-object-lifecycle-preference"],
];
/** How many polls fail with a fault that passes. */
const FAILED_POLLS = 3;

export async function startPolledDouble(wire: Wire, options: PolledDoubleOptions): Promise<PolledDouble> {
  const state: State = {
    ...{ port: 0, apiKey: "key-test", fault: null, latencyMs: 0, imageBytes: 20_000, ...options },
    ...{ wire, tasks: new Map(), submissions: [], faultsLeft: new Map(), seed: 1 },
  };
  const server = createServer((request, response) => {
    respond(state, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(state.port, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : null;
  return {
    url: `http://127.0.0.1:${port}`,
    submissions: state.submissions,
    setFault: (fault) => {
      state.fault = fault;
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function respond(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "GET", url: path = "/" } = request;
  const origin = `http://${request.headers.host}`;
  if (path === "/_calls") {
    if (method === "DELETE") state.submissions.length = 0;
    return send(response, { status: 200, body: { submissions: state.submissions } });
  }
  if (path === "/_fault") {
    const { fault } = JSON.parse(await textOf(request));
    state.fault = typeof fault === "string" ? fault : null;
    return send(response, { status: 200, body: {} });
  }
  if (path.startsWith("/_pictures/")) return showPicture(state, path.slice(11), request, response);
  if (!state.wire.hasKey(request.headers, state.apiKey)) return send(response, state.wire.unauthorized);
  const route = state.wire.route(method, path);
  if (route === null) return send(response, { status: 404, body: { detail: "Not Found" } });
  if (route.kind === "submit") return accept(state, path, origin, request, response);
  const task = state.tasks.get(route.id);
  if (task === undefined) return send(response, { status: 404, body: { detail: "Request not found" } });
  return follow(state, route.kind, task, origin, response);
}

async function accept(
  state: State,
  path: string,
  origin: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { wire } = state;
  const submission = record(state, path, request);
  response.on("close", () => {
    submission.status = response.headersSent ? response.statusCode : null;
  });
  const fields = fieldsOf(await textOf(request));
  if (fields === null)
    return send(response, { status: 422, body: { detail: [{ loc: ["body"], type: "json" }] } });
  const references = wire.referencesOf(fields);
  submission.references = references.map(({ contentType, base64 }) => ({ contentType, ...digestOf(base64) }));
  const names = new Set(references.map(({ name }) => name));
  submission.fields = Object.fromEntries(Object.entries(fields).filter(([name]) => !names.has(name)));
  const invalid = wire.validate(path, fields);
  if (invalid !== null) return send(response, invalid);
  const prompt = String(fields["prompt"]);
  const directions = directionsIn(prompt);
  submission.fault = faultNow(state, prompt, directions);
  const latencyMs = directions.latencyMs ?? state.latencyMs;
  const bytes = directions.imageBytes ?? state.imageBytes;
  const task: DoubleTask = {
    submission,
    readyAt: latencyMs > 0 ? Date.now() + latencyMs : null,
    spec: { ...wire.imageOf(fields), bytes, seed: state.seed++ * 101 },
  };
  const refusal = wire.refusals[submission.fault ?? ""];
  if (refusal !== undefined) return send(response, refusal);
  if (submission.fault === "submit-stall") return;
  if (submission.fault === "submit-reset") return void response.socket?.resetAndDestroy();
  if (submission.fault === "no-task") return send(response, { status: 200, body: {} });
  state.tasks.set(submission.id, task);
  const text = JSON.stringify(wire.accepted(task, origin));
  response.writeHead(200, { "content-type": "application/json" });
  if (submission.fault !== "submit-cut") return void response.end(text);
  response.write(text.slice(0, -20));
  await sleep(50);
  response.destroy();
}

async function follow(
  { wire }: State,
  kind: "poll" | "result" | "cancel",
  task: DoubleTask,
  origin: string,
  response: ServerResponse,
): Promise<void> {
  const { submission, readyAt } = task;
  const { fault } = submission;
  const count = kind === "cancel" ? "cancellations" : kind === "poll" ? "polls" : "results";
  submission[count]++;
  const passes = submission[count] <= FAILED_POLLS;
  const [, which, how] = /^(poll|result)-(\w+)$/.exec(fault ?? "") ?? [];
  if (which === kind) {
    if (how === "401" || how === "403" || how === "404") {
      return send(response, { status: Number(how), body: { detail: "Free text" } });
    }
    if (how === "redirect") return void response.writeHead(307, { location: `${origin}/elsewhere` }).end();
    if (how === "down" || (how === "500" && passes)) return send(response, { status: 500, body: null });
    if (how === "429" && passes) {
      return send(response, { status: 429, headers: { "retry-after": "0" }, body: { detail: "Free text" } });
    }
    if (how === "html" && passes) return send(response, BAD_GATEWAY);
    if (how === "reset" && passes) return void response.socket?.resetAndDestroy();
    if (how === "stall" && passes) return;
  }
  const isReady = fault !== "never" && (readyAt === null ? submission.polls > 1 : Date.now() >= readyAt);
  const isLate = fault === "unknown-status" && submission.polls <= FAILED_POLLS;
  send(response, wire.answer(kind, task, isReady && !isLate, `${origin}/_pictures/${submission.id}`));
}

/** The image, only for those who do not bring the key along. */
async function showPicture(
  { tasks }: State,
  id: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const task = tasks.get(id);
  const hasKey = request.headers.authorization !== undefined || request.headers["x-key"] !== undefined;
  if (task === undefined || hasKey) return void response.writeHead(403).end();
  const { submission, spec } = task;
  const { fault } = submission;
  submission.downloads++;
  if (fault === "expired") return void response.writeHead(403).end();
  if (fault === "gone") return void response.writeHead(410).end();
  if (fault === "picture-redirect") return void response.writeHead(302, { location: "/elsewhere" }).end();
  if (fault === "picture-503" && submission.downloads === 1) return void response.writeHead(503).end();
  response.on("close", () => {
    submission.hungUp = !response.writableFinished;
  });
  response.writeHead(200, { "content-type": `image/${spec.format}` });
  if (fault === "not-image") return void response.end("Sorry, no picture today.");
  await pipeline(Readable.from(bytesOf(spec, fault, response), { objectMode: false }), response);
}

async function* bytesOf(spec: ImageSpec, fault: string | null, response: ServerResponse) {
  let left = spec.bytes / 2;
  for (const piece of drawImage(spec)) {
    yield piece;
    left -= piece.length;
    if (fault === "picture-slow") await sleep(20);
    if (left > 0) continue;
    if (fault === "cut-image") return;
    if (fault === "picture-reset" || fault === "picture-stall") {
      // What was written is on its way before the connection goes.
      await sleep(50);
      if (fault === "picture-reset") response.socket?.destroy();
      await new Promise((resolve) => response.on("close", resolve));
    }
  }
}

function record(state: State, path: string, request: IncomingMessage): Submission {
  const pick = (name: string) => [name, request.headers[name]?.toString()];
  const submission: Submission = {
    ...{ id: crypto.randomUUID(), path, headers: Object.fromEntries(HEADERS.map(pick)) },
    ...{ fields: {}, references: [], fault: null, status: null },
    ...{ polls: 0, results: 0, downloads: 0, cancellations: 0, hungUp: false },
  };
  state.submissions.push(submission);
  if (state.submissions.length > TASKS_MAX) state.submissions.shift();
  for (const oldest of state.tasks.keys()) {
    if (state.tasks.size <= TASKS_MAX) break;
    state.tasks.delete(oldest);
  }
  return submission;
}

type Directions = ReturnType<typeof directionsIn>;

function faultNow(state: State, prompt: string, { fault, times }: Directions): string | null {
  if (fault === null) return state.fault;
  const left = state.faultsLeft.get(prompt) ?? times;
  if (left === 0) return null;
  state.faultsLeft.set(prompt, left - 1);
  for (const oldest of state.faultsLeft.keys()) {
    if (state.faultsLeft.size <= TASKS_MAX) break;
    state.faultsLeft.delete(oldest);
  }
  return fault;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

function fieldsOf(text: string): Record<string, unknown> | null {
  try {
    const fields: unknown = JSON.parse(text);
    return typeof fields === "object" && fields !== null && !Array.isArray(fields) ? { ...fields } : null;
  } catch {
    return null;
  }
}

function digestOf(base64: string): { bytes: number; sha256: string } {
  const bytes = Buffer.from(base64, "base64");
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  if (body === null) return void response.writeHead(status, headers).end();
  if (typeof body === "string") {
    return void response.writeHead(status, { "content-type": "text/html", ...headers }).end(body);
  }
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
