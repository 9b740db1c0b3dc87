import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Directions } from "./openai-double/faults.ts";

/** What the doubles of providers share: a server on a loopback port, faults by prompt, and how an answer ends. */

/** What a stream of an answer can ask of the connection in place of more bytes. */
export type Ending = "whole" | "stall" | "reset";

const FAULTS_MAX = 1000;

/** Serves requests until closed. A handler that throws cuts its connection. */
export async function listen(
  port: number,
  handler: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
): Promise<{ origin: string; close: () => Promise<void> }> {
  const server = createServer((request, response) => {
    handler(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const address = server.address();
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { origin: `http://127.0.0.1:${typeof address === "object" ? address?.port : null}`, close };
}

/** Which fault the next call with a prompt gets: the prompt's own, as often as it says, or the one for all calls. */
export class Faults {
  readonly #forAll: string | null;
  readonly #left = new Map<string, number>();

  constructor(forAll: string | null) {
    this.#forAll = forAll;
  }

  next(prompt: string, { fault, times }: Directions): string | null {
    if (fault === null) return this.#forAll;
    const left = this.#left.get(prompt) ?? times;
    if (left === 0) return null;
    this.#left.set(prompt, left - 1);
    for (const oldest of this.#left.keys()) {
      if (this.#left.size <= FAULTS_MAX) break;
      this.#left.delete(oldest);
    }
    return fault;
  }
}

/** Gives the bytes to the connection, at the fault's pace, and ends as the fault would have it. */
export async function* onTheWire(
  bytes: AsyncGenerator<Buffer, Ending>,
  fault: string | null,
  response: ServerResponse,
): AsyncGenerator<Buffer, void> {
  let step = await bytes.next();
  for (; step.done !== true; step = await bytes.next()) {
    if (fault !== "slow-drip") yield step.value;
    else
      for (let at = 0; at < step.value.length; at += 997) {
        await sleep(2);
        yield step.value.subarray(at, at + 997);
      }
  }
  if (step.value === "whole") return;
  // What was written is on its way before the connection goes.
  await sleep(50);
  if (step.value === "reset") response.socket?.destroy();
  await new Promise((resolve) => response.on("close", resolve));
}
