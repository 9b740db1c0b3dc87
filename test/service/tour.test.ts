import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { root } from "../../scripts/lib.mjs";
import { listen, type RunningService, startService } from "../support/service.ts";

const run = promisify(execFile);
const tour = join(root, "docs/tour.sh");

let service: RunningService;
/** The types of the webhooks that arrived. */
const received: string[] = [];

const receiver = createServer(async (request, response) => {
  let body = "";
  for await (const chunk of request) body += chunk;
  received.push(JSON.parse(body).type);
  response.writeHead(204).end();
});

beforeAll(async () => {
  service = await startService({ ALLOW_INSECURE_URLS: "true" });
});

afterAll(async () => {
  receiver.close();
  await service.stop();
});

function environment(more: Record<string, string> = {}) {
  const key = readFileSync(join(service.stateDirectory, "demo-key"), "utf8");
  return { env: { ...process.env, GIH_WEBHOOK_URL: "", GIH_URL: service.origin, GIH_KEY: key, ...more } };
}

it("runs to its end on a fresh service, and again with a receiver of webhooks", async () => {
  const first = await run("bash", [tour], environment());
  expect(first.stderr).toBe("");
  expect(first.stdout).toMatch(/^Done: 16 steps as expected, for (80|88) credits. \d+ credits are left.$/m);
  expect(first.stdout).toMatch(/data.0.error: (connection_failed|timeout)\n/);
  const url = `http://127.0.0.1:${await listen(receiver)}/hook`;
  const second = await run("bash", [tour], environment({ GIH_WEBHOOK_URL: url }));
  expect(second.stdout).toContain("data.0.response_status: 204");
  expect(received).toContain("generation.succeeded");
}, 300_000);

it("stops at the first unexpected response", async () => {
  const failed = await run("bash", [tour], environment({ GIH_KEY: "gih_live_wrong" })).catch(
    (error: unknown) => error,
  );
  expect(failed).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/3\. Your balance\n {3}GET \/api\/v1\/credits\n {3}-> 401\n$/),
    stderr: expect.stringContaining("Unexpected response: status 401 instead of 200"),
  });
});
