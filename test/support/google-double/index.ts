import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createGzip } from "node:zlib";
import { Faults, listen, onTheWire } from "../loopback.ts";
import { directionsIn } from "../openai-double/faults.ts";
import { answer } from "./answer.ts";
import { OTHER_FAULTS, REFUSALS, type RefusalFault } from "./faults.ts";
import { pixelsFor, type Reference, readRequest } from "./request.ts";

/**
 * A stand-in for the image models of the Gemini API that speaks its wire format on a loopback port. A prompt chooses a
 * fault, the bytes of an image and a latency (`directionsIn`). `GET /_calls` lists the calls.
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
  prompt: string;
  aspectRatio: string | null;
  imageSize: string | null;
  references: Reference[];
  fault: string | null;
  status: number | null;
  /** Whether the caller hung up before the answer's end. */
  hungUp: boolean;
};

type State = {
  apiKey: string;
  latencyMs: number;
  imageBytes: number;
  calls: Call[];
  faults: Faults;
  seed: number;
};

const CALLS_MAX = 1000;
const HEADERS = ["content-type", "content-length", "transfer-encoding", "accept", "x-goog-api-key"];
const PATH = /^\/v1beta\/models\/(gemini-nano-banana-2\.1|gemini-3-pro-image):generateContent$/;

export async function startDouble(options: DoubleOptions = {}): Promise<Double> {
  const state: State = {
    apiKey: options.apiKey ?? "AIza-test",
    latencyMs: options.latencyMs ?? 0,
    imageBytes: options.imageBytes ?? 20_000,
    calls: [],
    faults: new Faults(options.fault ?? null),
    seed: 1,
  };
  const { origin, close } = await listen(options.port ?? 0, (request, response) =>
    respond(state, request, response),
  );
  return { url: `${origin}/v1beta`, close };
}

async function respond(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = request.url ?? "/";
  if (path === "/_calls") return void response.end(JSON.stringify({ calls: state.calls }));
  const call = record(state, path, request);
  response.on("close", () => {
    call.status = response.headersSent ? response.statusCode : null;
    call.hungUp = !response.writableFinished;
  });
  if (request.headers["x-goog-api-key"] !== state.apiKey) return refuseAs(response, REFUSALS["key-invalid"]);
  const [, model] = PATH.exec(path) ?? [];
  if (model === undefined || request.method !== "POST") return refuseAs(response, REFUSALS["model-gone"]);
  const accepted = await readRequest(request);
  if ("invalid" in accepted) return refuseAs(response, invalid(accepted.invalid));
  const { prompt, aspectRatio, imageSize, references } = accepted;
  Object.assign(call, { prompt: prompt.slice(0, 500), aspectRatio, imageSize, references });
  const pixels = pixelsFor(accepted);
  if (pixels === null) return refuseAs(response, invalid("Invalid aspect ratio."));
  const directions = directionsIn(prompt);
  call.fault = state.faults.next(prompt, directions);
  await sleep(directions.latencyMs ?? state.latencyMs);
  const seed = state.seed++ * 101;
  const bytes = directions.imageBytes ?? state.imageBytes;
  // A 4K picture is a JPEG.
  const format = imageSize === "4K" ? ("jpeg" as const) : ("png" as const);
  await perform(response, call.fault, { ...pixels, format, bytes, seed }, model);
}

function record(state: State, path: string, request: IncomingMessage): Call {
  const pick = (name: string) => [name, request.headers[name]?.toString()];
  const call: Call = {
    path,
    headers: Object.fromEntries(HEADERS.map(pick)),
    prompt: "",
    aspectRatio: null,
    imageSize: null,
    references: [],
    fault: null,
    status: null,
    hungUp: false,
  };
  state.calls.push(call);
  if (state.calls.length > CALLS_MAX) state.calls.shift();
  return call;
}

async function perform(
  response: ServerResponse,
  fault: string | null,
  spec: Parameters<typeof answer>[0],
  model: string,
): Promise<void> {
  const refusal = REFUSALS[fault ?? ""];
  if (refusal !== undefined) return refuseAs(response, refusal);
  if (fault !== null && !OTHER_FAULTS.includes(fault) && !/^(block|finish)-/.test(fault)) {
    return refuseAs(response, invalid(`No such fault: ${fault}`));
  }
  switch (fault) {
    case "stall-headers":
      return;
    case "reset-headers":
      response.socket?.resetAndDestroy();
      return;
    case "redirect":
      response.writeHead(307, { location: `http://${response.req.headers.host}/elsewhere` }).end();
      return;
    case "html-in-200":
      response.writeHead(200, { "content-type": "text/html" }).end("<html><h1>Sign in</h1></html>");
      return;
  }
  response.writeHead(200, {
    "content-type": "application/json; charset=UTF-8",
    ...(fault === "gzip" && { "content-encoding": "gzip" }),
  });
  const responseId = `resp-${spec.seed}`;
  const source = Readable.from(onTheWire(answer(spec, fault, { model, responseId }), fault, response), {
    objectMode: false,
  });
  await (fault === "gzip" ? pipeline(source, createGzip(), response) : pipeline(source, response));
}

function invalid(message: string): RefusalFault {
  return { status: 400, error: { code: 400, message, status: "INVALID_ARGUMENT" } };
}

function refuseAs(response: ServerResponse, refusal: RefusalFault | undefined): void {
  if (refusal === undefined) throw new Error("No such refusal.");
  if ("page" in refusal) {
    response.writeHead(refusal.status, { "content-type": "text/html" }).end(refusal.page);
    return;
  }
  const type = { "content-type": "application/json; charset=UTF-8" };
  response.writeHead(refusal.status, type).end(JSON.stringify({ error: refusal.error }));
}
