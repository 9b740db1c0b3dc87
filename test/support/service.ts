import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, vi } from "vitest";
import * as z from "zod";
import { isInstalled, root } from "../../scripts/lib.mjs";

const STARTED_WITHIN_MS = 110_000;

/** A service that `npm start` runs on a free port, with its state in a directory of its own. */
export type RunningService = {
  origin: string;
  /** Where it and its callers can leave files. Deleted at the end. */
  directory: string;
  stateDirectory: string;
  stop: () => Promise<void>;
};

/** Listens on a free port of the loopback address. Returns the port. */
export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The server has no port.");
  return address.port;
}

/**
 * Starts the service.
 * @param settings its environment. Nothing else of the environment reaches it.
 */
export async function startService(settings: Record<string, string> = {}): Promise<RunningService> {
  if (!isInstalled()) throw new Error("Run the tests by npm test, which installs the dependencies first.");
  const directory = mkdtempSync(join(tmpdir(), "gpt-image-hub-"));
  const stateDirectory = join(directory, "state");
  const probe = createServer();
  const port = await listen(probe);
  await new Promise((resolve) => probe.close(resolve));
  const service: ChildProcess = spawn(process.execPath, [join(root, "scripts/start.mjs")], {
    cwd: directory,
    env: {
      ...{ PATH: process.env["PATH"], HOME: directory, PORT: String(port) },
      ...{ IMAGE_PROVIDER: "sketch", STATE_DIR: stateDirectory, ...settings },
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [service.stdout, service.stderr]) {
    stream?.on("data", (text) => {
      output += text;
    });
  }
  await vi.waitUntil(() => /^Ready on /m.test(output) || service.exitCode !== null, {
    timeout: STARTED_WITHIN_MS,
  });
  expect(output).toMatch(/^Ready on /m);
  const stop = async () => {
    const ended = once(service, "close");
    service.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true });
  };
  return { origin: `http://127.0.0.1:${port}`, directory, stateDirectory, stop };
}

/** A key of a new user with these credits. */
export async function newKey(
  { origin, stateDirectory }: RunningService,
  { credits = 1000, mode = "live" }: { credits?: number; mode?: "live" | "test" } = {},
): Promise<string> {
  const adminToken = readFileSync(join(stateDirectory, "admin-token"), "utf8");
  const operate = async (path: string, body: unknown) => {
    const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await fetch(`${origin}/api/admin${path}`, init);
    return z.record(z.string(), z.unknown()).parse(await response.json());
  };
  const { id } = await operate("/users", { email: `${crypto.randomUUID()}@example.com` });
  if (credits > 0) await operate(`/users/${id}/credits`, { id: crypto.randomUUID(), credits });
  const { api_key: key } = await operate(`/users/${id}/api_keys`, { name: "test", mode });
  return String(key);
}
