import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    webhookReceiver: string;
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

/** Runs a receiver of webhooks beside the tests, on a loopback port: workerd cannot run a Node server of its own. */
export default async function setup(project: TestProject) {
  const calls: Calls = new Map();
  const server = createServer((request, response) => {
    respond(calls, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  project.provide("webhookReceiver", `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
  return () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
}

async function respond(calls: Calls, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://receiver");
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
