import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createGzip } from "node:zlib";
import { Faults, listen, onTheWire } from "../loopback.ts";
import { answer } from "./answer.ts";
import { directionsIn, GATEWAY_REFUSALS, OTHER_FAULTS, REFUSALS, type RefusalFault } from "./faults.ts";
import { drawImage, type ImageSpec } from "./images.ts";
import { type Accepted, invalid, parseRequest, type Refusal, type Upload, validate } from "./request.ts";

/**
 * A stand-in for the OpenAI Images API that speaks its wire format on a loopback port. A prompt chooses a fault, the
 * bytes of an image and a latency (`directionsIn`). `GET /_calls` lists the calls, `DELETE /_calls` forgets them.
 * As a command: `node test/support/openai-double/index.ts --port 0 [--fault NAME] [--latency MS] [--bytes N]`.
 */
export type Double = { url: string; close: () => Promise<void> };

export type DoubleOptions = {
  port?: number;
  apiKey?: string;
  /** What a prompt without directions of its own gets. */
  fault?: string | null;
  latencyMs?: number;
  imageBytes?: number;
};

/** What `GET /_calls` tells of a call. */
export type Call = {
  path: string;
  headers: Record<string, string | undefined>;
  clientRequestId: string | null;
  fields: Record<string, unknown>;
  uploads: Upload[];
  fault: string | null;
  status: number | null;
  /** Whether the caller hung up before the answer's end. */
  hungUp: boolean;
};

type State = Required<Omit<DoubleOptions, "fault">> & { calls: Call[]; faults: Faults; seed: number };

const CALLS_MAX = 1000;
const PATHS = ["/v1/images/generations", "/v1/images/edits"];
const HEADERS = [
  "content-type",
  "content-length",
  "transfer-encoding",
  "accept",
  "authorization",
  "user-agent",
];

export async function startDouble(options: DoubleOptions = {}): Promise<Double> {
  const state: State = {
    port: options.port ?? 0,
    apiKey: options.apiKey ?? "sk-test",
    latencyMs: options.latencyMs ?? 0,
    imageBytes: options.imageBytes ?? 20_000,
    calls: [],
    faults: new Faults(options.fault ?? null),
    seed: 1,
  };
  const { origin, close } = await listen(state.port, (request, response) =>
    respond(state, request, response),
  );
  return { url: `${origin}/v1`, close };
}

async function respond(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? "/";
  if (path === "/_calls") return tellCalls(state, request, response);
  if (path.startsWith("/_pictures?")) return showPicture(request, response);
  response.setHeader("x-request-id", `req_${(state.seed + 0x1000_0000).toString(16)}`);
  response.setHeader("openai-processing-ms", "42");
  response.setHeader("openai-version", "2020-10-01");
  const call = record(state, path, request);
  response.on("close", () => {
    call.status = response.headersSent ? response.statusCode : null;
    call.hungUp = !response.writableFinished;
  });
  const early = checkDoor(state, path, request);
  if (early !== null) return refuse(response, early);
  const parsed = await parseRequest(request);
  call.fields = { ...parsed.fields, prompt: String(parsed.fields["prompt"] ?? "").slice(0, 500) };
  call.uploads = parsed.uploads;
  const accepted = validate(parsed, path === PATHS[1]);
  if ("status" in accepted) return refuse(response, accepted);
  const directions = directionsIn(accepted.prompt);
  call.fault = state.faults.next(accepted.prompt, directions);
  await sleep(directions.latencyMs ?? state.latencyMs);
  await perform(state, accepted, call.fault, directions.imageBytes ?? state.imageBytes, response);
}

function tellCalls(state: State, request: IncomingMessage, response: ServerResponse): void {
  if (request.method === "DELETE") state.calls.length = 0;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ calls: state.calls }));
}

/** The picture that an answer gave the address of; only for those who do not bring the key along. */
async function showPicture(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = new URL(request.url ?? "/", "http://double").searchParams;
  const format = asked.get("format");
  if (request.headers.authorization !== undefined || asked.has("gone")) {
    response.writeHead(asked.has("gone") ? 410 : 403).end();
    return;
  }
  const spec: ImageSpec = {
    format: format === "jpeg" || format === "webp" ? format : "png",
    width: Number(asked.get("width")),
    height: Number(asked.get("height")),
    bytes: Number(asked.get("bytes")),
    seed: Number(asked.get("seed")),
  };
  response.writeHead(200, { "content-type": `image/${spec.format}` });
  await pipeline(Readable.from(drawImage(spec), { objectMode: false }), response);
}

function record(state: State, path: string, request: IncomingMessage): Call {
  const pick = (name: string) => [name, request.headers[name]?.toString()];
  const call: Call = {
    path,
    headers: Object.fromEntries(HEADERS.map(pick)),
    clientRequestId: request.headers["x-client-request-id"]?.toString() ?? null,
    fields: {},
    uploads: [],
    fault: null,
    status: null,
    hungUp: false,
  };
  state.calls.push(call);
  if (state.calls.length > CALLS_MAX) state.calls.shift();
  return call;
}

/** What upstream looks at before the body. */
function checkDoor(state: State, path: string, request: IncomingMessage): Refusal | null {
  if (request.headers.authorization !== `Bearer ${state.apiKey}`) {
    return { ...invalid("Incorrect API key provided.", null, "invalid_api_key"), status: 401 };
  }
  if (request.method !== "POST" || !PATHS.includes(path)) {
    return { ...invalid(`Invalid URL (${request.method} ${path})`, null, null), status: 404 };
  }
  const id = request.headers["x-client-request-id"]?.toString() ?? "";
  return /^[ -~]{0,512}$/.test(id) ? null : invalid("Invalid X-Client-Request-Id.", null, null);
}

async function perform(
  state: State,
  accepted: Accepted,
  fault: string | null,
  imageBytes: number,
  response: ServerResponse,
): Promise<void> {
  const refusal = REFUSALS[fault ?? ""] ?? GATEWAY_REFUSALS[fault ?? ""];
  if (refusal !== undefined) return refuseAs(response, refusal);
  if (fault !== null && !OTHER_FAULTS.includes(fault))
    return refuse(response, invalid(`No such fault: ${fault}`, null, null));
  if (fault === "stall-headers") return;
  if (fault === "reset-headers") {
    response.socket?.resetAndDestroy();
    return;
  }
  if (fault === "502-html") {
    response.writeHead(502, { "content-type": "text/html" }).end("<html><h1>502 Bad Gateway</h1></html>");
    return;
  }
  if (fault === "redirect") {
    response.writeHead(307, { location: `http://${response.req.headers.host}/elsewhere` }).end();
    return;
  }
  const seed = state.seed * 101;
  state.seed++;
  response.writeHead(200, {
    "content-type":
      fault === "event-stream" || (accepted.stream && fault === null)
        ? "text/event-stream"
        : "application/json",
    ...(fault === "gzip" && { "content-encoding": "gzip" }),
    "x-ratelimit-limit-requests": "250",
    "x-ratelimit-remaining-requests": "249",
    "x-ratelimit-reset-requests": "120ms",
  });
  const source = Readable.from(onTheWire(answer(accepted, fault, imageBytes, seed), fault, response), {
    objectMode: false,
  });
  await (fault === "gzip" ? pipeline(source, createGzip(), response) : pipeline(source, response));
}

function refuse(response: ServerResponse, { status, ...error }: Refusal): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error }));
}

function refuseAs(
  response: ServerResponse,
  { status, headers, retryDateSeconds, error, page }: RefusalFault,
): void {
  if (retryDateSeconds !== null) {
    response.setHeader("retry-after", new Date(Date.now() + retryDateSeconds * 1000).toUTCString());
  }
  if (page !== undefined) {
    response.writeHead(status, { "content-type": "text/html" }).end(page);
    return;
  }
  const type = { "content-type": "application/json" };
  response.writeHead(status, { ...type, ...headers }).end(JSON.stringify({ error }));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      fault: { type: "string" },
      latency: { type: "string", default: "0" },
      bytes: { type: "string", default: "20000" },
    },
  });
  const double = await startDouble({
    port: Number(values.port),
    fault: values.fault ?? null,
    latencyMs: Number(values.latency),
    imageBytes: Number(values.bytes),
  });
  console.log(JSON.stringify(double.url));
}
