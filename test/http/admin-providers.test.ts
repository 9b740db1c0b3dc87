import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { call, newUser, operate } from "../support/http.ts";
import { spyOnLog } from "../support/log.ts";
import { holdQueue } from "../support/queue.ts";

const AVAILABLE = {
  ...{ object: "provider", name: "openai", state: "closed", operator: "auto", in_flight: null, waiting: 0 },
  ...{ limit_per_minute: null, limit_concurrent: null, learned_per_minute: null, learned_concurrent: null },
  ...{ consecutive_failures: 0, next_probe_at: null, last_failure: null },
};

const gate = env.PROVIDER_GATE.getByName("openai");
const request = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024" };
const settings = {
  IMAGE_PROVIDER: "openai",
  OPENAI_API_KEY: "sk-test",
  OPENAI_BASE_URL: "http://127.0.0.1:9",
};

beforeEach(() => spyOnLog());

afterEach(async () => {
  await gate.operate("auto");
  await gate.report("y", { kind: "answered", perMinute: null });
  vi.restoreAllMocks();
});

describe("GET /api/admin/providers", () => {
  const others = ["openai-fallback", "google", "black-forest-labs", "fal", "workers-ai"].map((name) => ({
    ...AVAILABLE,
    name,
  }));

  it("shows the limits, the circuit breaker and the last failure of each provider", async () => {
    const calm = await operate("GET", "/providers");
    expect(calm).toMatchObject({ status: 200, body: { object: "list", data: [AVAILABLE, ...others] } });
    for (const id of ["x", "y"])
      await gate.report(id, { kind: "failed", reason: "timeout", retryAfterMs: null });
    const { body } = await operate("GET", "/providers");
    const failure = { reason: "timeout", at: expect.stringMatching(/^\d{4}-.*Z$/) };
    const down = { state: "open", consecutive_failures: 2, last_failure: failure };
    expect(body).toMatchObject({
      data: [{ ...AVAILABLE, ...down, next_probe_at: expect.stringMatching(/^\d{4}-.*Z$/) }, ...others],
    });
  });

  it("shows neither to a user's key", async () => {
    const { key } = await newUser(8);
    for (const method of ["GET", "POST"] as const) {
      const path = method === "GET" ? "/api/admin/providers" : "/api/admin/providers/openai";
      const asked = { key, ...(method === "POST" && { json: { state: "open" } }) };
      expect(await call(method, path, asked)).toMatchObject({ status: 401 });
    }
    expect((await gate.view()).state).toBe("closed");
  });
});

describe("POST /api/admin/providers/:name", () => {
  it("stops and resumes the calls of a provider: sync is refused before the charge, async waits", async () => {
    holdQueue();
    const user = await newUser(16);
    const opened = await operate("POST", "/providers/openai", { state: "open" });
    expect(opened).toMatchObject({
      status: 200,
      body: { state: "open", operator: "open", next_probe_at: null },
    });
    const ask = async (json: object) =>
      await call("POST", "/api/v1/images/generations", { key: user.key, settings, json });
    expect(await ask(request)).toMatchObject({ status: 503 });
    const { credits } = await env.ACCOUNT.getByName(user.id).balance();
    expect(credits).toBe(16);
    expect(await ask({ ...request, async: true })).toMatchObject({ status: 202 });
    expect((await operate("GET", "/providers")).body).toMatchObject({
      data: [{ waiting: 1 }, ...Array.from({ length: 5 }, () => ({ waiting: 0 }))],
    });
    const closed = await operate("POST", "/providers/openai", { state: "closed" });
    expect(closed.body).toMatchObject({ state: "closed", operator: "closed", waiting: 0 });
    const auto = await operate("POST", "/providers/openai", { state: "auto" });
    expect(auto.body).toMatchObject({ operator: "auto" });
  });

  it.each([
    ["an unknown provider", "nobody", { state: "open" }, 404, undefined],
    ["an unknown state", "openai", { state: "half-open" }, 400, "state"],
    ["no state", "openai", {}, 400, "state"],
    ["an unknown field", "openai", { state: "open", reason: "x" }, 400, "reason"],
  ])("refuses %s", async (_, name, json, status, param) => {
    const answer = await operate("POST", `/providers/${name}`, json);
    expect(answer).toMatchObject({ status, body: { error: param === undefined ? {} : { param } } });
    expect((await gate.view()).operator).toBe("auto");
  });
});
