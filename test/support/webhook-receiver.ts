import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { TestProject } from "vitest/node";
import { UNTRUSTED } from "./untrusted-certificate.ts";

declare module "vitest" {
  interface ProvidedContext {
    webhookReceiver: string;
    /** The same receiver, with a certificate that no client trusts. */
    untrustedReceiver: string;
  }
}

/** A call that the receiver got: what `GET /_calls?path=…` lists. */
export type ReceivedCall = {
  headers: Record<string, string>;
  body: string;
  /** Bytes of the answer that the receiver could send before the caller hung up. */
  sentBytes: number;
  hungUp: boolean;
};

/** The calls of each path, which is a test's own. Its query says how to answer: see {@link behave}. */
type Calls = Map<string, ReceivedCall[]>;

/** What the receiver got. `handshakes`: how often a client looked at the certificate and hung up. */
type State = { calls: Calls; handshakes: number };

/** Runs a receiver of webhooks beside the tests, on loopback ports: workerd cannot run a Node server of its own. */
export default async function setup(project: TestProject) {
  const state: State = { calls: new Map(), handshakes: 0 };
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    respond(state, request, response).catch(() => response.destroy());
  };
  const [server, untrusted] = [createServer(handle), createTlsServer(UNTRUSTED, handle)];
  untrusted.on("tlsClientError", () => {
    state.handshakes += 1;
  });
  project.provide("webhookReceiver", `http://127.0.0.1:${await listen(server)}`);
  project.provide("untrustedReceiver", `https://127.0.0.1:${await listen(untrusted)}`);
  return async () => {
    await Promise.all([close(server), close(untrusted)]);
  };
}

/** Listens on a free port. */
async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

async function respond(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { calls } = state;
  const url = new URL(request.url ?? "/", "http://receiver");
  if (url.pathname === "/_handshakes") {
    response.end(JSON.stringify(state.handshakes));
    return;
  }
  if (url.pathname === "/_calls") {
    response.end(JSON.stringify(calls.get(url.searchParams.get("path") ?? "") ?? []));
    return;
  }
  let body = "";
  for await (const chunk of request) body += chunk;
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, text]) => [name, `${text}`]),
  );
  const call: ReceivedCall = { headers, body, sentBytes: 0, hungUp: false };
  calls.set(url.pathname, [...(calls.get(url.pathname) ?? []), call]);
  response.on("close", () => {
    call.hungUp = !response.writableFinished;
  });
  behave(url.searchParams, call, response);
}

/** `status`, `location` and `retry_after` of the answer; `hang` never answers, and `endless` never ends its body. */
function behave(asked: URLSearchParams, call: ReceivedCall, response: ServerResponse): void {
  if (asked.has("hang")) return;
  const location = asked.get("location");
  const retryAfter = asked.get("retry_after");
  if (location !== null) response.setHeader("Location", location);
  if (retryAfter !== null) response.setHeader("Retry-After", retryAfter);
  response.writeHead(Number(asked.get("status") ?? 204));
  if (!asked.has("endless")) {
    response.end();
    return;
  }
  const piece = Buffer.alloc(65_536, "x");
  const write = () => {
    while (!response.destroyed) {
      call.sentBytes += piece.length;
      if (!response.write(piece)) break;
    }
    if (!response.destroyed) response.once("drain", write);
  };
  write();
}
