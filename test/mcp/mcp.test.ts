import { env } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import type { GenerationRecord } from "../../src/account/views.ts";
import { readConfig } from "../../src/config.ts";
import { JSON_BYTES_MAX } from "../../src/http/body.ts";
import { newId } from "../../src/id.ts";
import { generationResult, INLINE_BYTES_MAX } from "../../src/mcp/results.ts";
import { tools } from "../../src/mcp/tools.ts";
import { sketch } from "../../src/providers/sketch/index.ts";
import { png } from "../images/samples.ts";
import { creditsOf, newTestKey, newUser, ORIGIN, operate, respond, type TestUser } from "../support/http.ts";
import { holdQueue } from "../support/queue.ts";

/** The MCP server as its wire has it. The official clients talk to it in test/service/mcp.test.ts. */

const ASKED = { prompt: "a lighthouse at dusk", size: "1024x1024" };
const ACCEPT = { Accept: "application/json, text/event-stream" };
const VERSION = "2026-07-28";

let user: TestUser;

beforeEach(async () => {
  user = await newUser(100);
});

afterEach(() => vi.restoreAllMocks());

function provide() {
  return vi.spyOn(sketch, "generate").mockImplementation(async function* () {
    yield { body: new Blob([png(1024, 1024)]).stream() };
  });
}

const Message = z.looseObject({
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.looseObject({ code: z.number(), message: z.string() }).optional(),
});

const ToolResult = z.object({
  isError: z.boolean().optional(),
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  structuredContent: z.looseObject({ id: z.string().optional() }).optional(),
});

/** A request of the newest revision, with its envelope. */
async function ask(method: string, params: Record<string, unknown> = {}, key = user.key) {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
  };
  const name = params["name"];
  const response = await respond("POST", "/mcp", {
    key,
    headers: {
      ...ACCEPT,
      "MCP-Protocol-Version": VERSION,
      "Mcp-Method": method,
      ...(typeof name === "string" ? { "Mcp-Name": name } : {}),
    },
    json: { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } },
  });
  return { status: response.status, ...Message.parse(await response.json()) };
}

async function callTool(name: string, args: Record<string, unknown> = {}, key = user.key) {
  const { result } = await ask("tools/call", { name, arguments: args }, key);
  return ToolResult.parse(result);
}

describe("the endpoint", () => {
  const ping = { jsonrpc: "2.0", id: 1, method: "ping" };
  const post = (options: Parameters<typeof respond>[2] = {}) =>
    respond("POST", "/mcp", {
      key: user.key,
      json: ping,
      ...options,
      headers: { ...ACCEPT, ...options.headers },
    });

  it("takes POST only: there are no sessions", async () => {
    for (const method of ["GET", "DELETE"]) {
      const response = await respond(method, "/mcp", { key: user.key });
      expect([response.status, response.headers.get("Allow")]).toEqual([405, "POST"]);
    }
  });

  it("asks for an API key", async () => {
    for (const key of [undefined, "gih_live_nobody"]) {
      const { status, headers } = await post({ key });
      expect([status, headers.get("WWW-Authenticate")]).toEqual([401, "Bearer"]);
      expect(headers.get("X-Request-Id")).toMatch(/^req_/);
    }
    const { status, headers } = await post();
    expect([status, headers.get("Cache-Control")]).toEqual([200, "no-store"]);
  });

  it.each([
    [undefined, 200],
    [ORIGIN, 200],
    ["http://localhost:6274", 200],
    ["http://127.0.0.1:6274", 200],
    ["https://elsewhere.example", 403],
    ["null", 403],
  ])("answers a page from %s with %i", async (origin, status) => {
    const response = await post({ headers: origin === undefined ? {} : { Origin: origin } });
    expect(response.status).toBe(status);
  });

  it("limits bodies to 1 MiB of JSON in which no member is given twice", async () => {
    const padded = (bytes: number) => {
      const text = JSON.stringify({ ...ping, params: { _meta: { padding: "" } } });
      return text.replace('""', `"${"x".repeat(bytes - text.length)}"`);
    };
    const send = (body: string, type = "application/json") =>
      respond("POST", "/mcp", { key: user.key, body, headers: { ...ACCEPT, "Content-Type": type } });
    expect((await send(padded(JSON_BYTES_MAX))).status).toBe(200);
    expect((await send(padded(JSON_BYTES_MAX + 1))).status).toBe(413);
    expect((await send(JSON.stringify(ping), "text/plain")).status).toBe(415);
    expect((await send('{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}')).status).toBe(400);
    expect((await send("{")).status).toBe(400);
  });

  it("answers both eras, and holds no stream open", async () => {
    const { result } = await ask("server/discover");
    expect(result).toMatchObject({ supportedVersions: [VERSION], capabilities: { tools: {} } });
    const listened = await ask("subscriptions/listen", { notifications: { toolsListChanged: true } });
    expect(listened.error?.message).toMatch(/limit/i);
    const params = {
      protocolVersion: "2025-03-26",
      capabilities: {},
      clientInfo: { name: "old", version: "1" },
    };
    const old = await post({ json: { ...ping, method: "initialize", params } });
    expect(await old.text()).toContain('"protocolVersion":"2025-03-26"');
    expect(old.headers.get("Mcp-Session-Id")).toBeNull();
  });
});

describe("the tools", () => {
  it("have schemas, in the words of the API", async () => {
    const { result } = await ask("tools/list");
    expect(result?.["tools"]).toEqual(tools.map((tool) => expect.objectContaining({ name: tool.name })));
    expect(result?.["tools"]).toContainEqual(
      expect.objectContaining({
        name: "generate_image",
        description: expect.stringContaining("with the same key"),
        inputSchema: expect.objectContaining({
          required: ["prompt"],
          additionalProperties: false,
          properties: expect.objectContaining({
            size: expect.anything(),
            idempotency_key: expect.anything(),
          }),
        }),
        outputSchema: expect.objectContaining({ type: "object", properties: expect.anything() }),
      }),
    );
  });

  it("refuse what they do not have", async () => {
    expect(await ask("tools/call", { name: "draw" })).toMatchObject({ error: { code: -32602 } });
    expect(await ask("resources/list")).toMatchObject({ status: 404, error: { code: -32601 } });
  });

  it.each([
    ["generate_image", {}, "prompt"],
    ["generate_image", { ...ASKED, colour: "red" }, "colour"],
    ["generate_image", { ...ASKED, idempotency_key: "" }, "idempotency_key"],
    ["generate_image", { ...ASKED, idempotency_key: "x".repeat(256) }, "idempotency_key"],
    ["generate_image", { ...ASKED, reference_images: ["data:image/png;base64,AAAA"] }, "reference_images.0"],
    ["generate_image", { ...ASKED, reference_images: ["http://127.0.0.1/a.png"] }, "reference_images[0]"],
    ["generate_image", { ...ASKED, output_compression: 50, output_format: "png" }, "output_compression"],
    ["generate_image", { ...ASKED, n: 5 }, "n"],
    ["get_generation", { id: "gen_1", wait_seconds: 51 }, "wait_seconds"],
    ["list_generations", { limit: 101 }, "limit"],
    ["list_generations", { cursor: "x" }, "cursor"],
  ])("%s refuses %j before any charge, and names the field", async (name, args, field) => {
    const { isError, content } = await callTool(name, args);
    expect([isError, content[0]?.text]).toEqual([true, expect.stringContaining(`(field: ${field}, `)]);
    expect(content[0]?.text).toMatch(/^invalid_request: /);
    expect(await creditsOf(user)).toBe(100);
  });

  it("join a repeated call by its key, and refuse another picture under it", async () => {
    const spy = provide();
    const args = { ...ASKED, idempotency_key: "x".repeat(255) };
    const [one, two] = await Promise.all([
      callTool("generate_image", args),
      callTool("generate_image", args),
    ]);
    expect(one.structuredContent).toEqual(two.structuredContent);
    expect([spy.mock.calls.length, await creditsOf(user)]).toEqual([1, 92]);
    const { content } = await callTool("generate_image", { ...args, n: 2 });
    expect(content[0]?.text).toMatch(
      /^idempotencyMismatch: .* Use a new idempotency_key for another picture\./,
    );
  });

  it("answer an unfinished picture with its id, and cancel it", async () => {
    holdQueue();
    const started = await callTool("generate_image", { ...ASKED, async: true });
    const id = started.structuredContent?.id;
    expect(started.structuredContent).toMatchObject({ status: "queued", images: [] });
    expect(started.content[0]?.text).toBe(
      `Not finished: the generation ${id} is queued. Call get_generation with this id and wait_seconds 50. Do not call generate_image again for it.`,
    );
    expect((await callTool("get_generation", { id })).structuredContent).toMatchObject({ status: "queued" });
    expect((await callTool("get_generation", { id, wait_seconds: 1 })).isError).not.toBe(true);
    const canceled = await callTool("cancel_generation", { id });
    expect(canceled.structuredContent).toMatchObject({ id, status: "canceled" });
    expect(await creditsOf(user)).toBe(100);
  });

  it("estimate a price, and charge nothing for it", async () => {
    const { structuredContent } = await callTool("estimate_cost", { ...ASKED, n: 2 });
    expect(structuredContent).toMatchObject({ object: "estimate", credits: 16, affordable: true });
    expect(await creditsOf(user)).toBe(100);
  });

  it.each([
    ["read", ["generate_image", "estimate_cost", "cancel_generation"]],
    ["generate", ["get_generation", "list_generations", "list_models", "get_credits"]],
  ])("need the scope: a key for %s only cannot call the others", async (scope, names) => {
    const body = { name: "scoped", scopes: [scope] };
    const { api_key: key } = z
      .object({ api_key: z.string() })
      .parse((await operate("POST", `/users/${user.id}/api_keys`, body)).body);
    for (const name of names) {
      const { isError, content } = await callTool(name, {}, key);
      expect([name, isError, content[0]?.text]).toEqual([name, true, expect.stringMatching(/^forbidden: /)]);
    }
  });

  it("show nothing of another user, or of a test key", async () => {
    provide();
    const { structuredContent } = await callTool("generate_image", ASKED);
    const id = structuredContent?.id;
    for (const key of [(await newUser()).key, await newTestKey(user.id)]) {
      for (const name of ["get_generation", "cancel_generation"]) {
        const { content } = await callTool(name, { id }, key);
        expect(content[0]?.text).toMatch(/^notFound: /);
      }
      const list = await callTool("list_generations", {}, key);
      expect(list.structuredContent).toMatchObject({ data: [] });
    }
    const test = await callTool("generate_image", ASKED, await newTestKey(user.id));
    expect(test.structuredContent).toMatchObject({ livemode: false, usage: { credits: 0 } });
  });

  it("do not quote a fault of ours", async () => {
    vi.spyOn(env.ACCOUNT, "getByName").mockImplementation(() => {
      throw new Error("the secret is hunter2");
    });
    const { isError, content } = await callTool("get_credits");
    expect([isError, JSON.stringify(content)]).toEqual([true, expect.stringContaining("internalError: ")]);
    expect(JSON.stringify(content)).not.toContain("hunter2");
  });
});

describe("a picture", () => {
  const stored = async (bytes: number): Promise<GenerationRecord> => {
    const id = newId("gen");
    const image = { id: newId("img"), contentType: "image/png", width: 8, height: 8, bytes, createdAt: 1 };
    const key = `${id}/${image.id}.png`;
    await env.IMAGES.put(key, new Uint8Array(bytes));
    return {
      ...{ id, status: "succeeded", model: "gpt-image-2", aspectRatio: "1:1", tier: "1K", origin: ORIGIN },
      ...{ createdAt: 1, endedAt: 2, creditsCharged: 8, creditsRefunded: 0, error: null },
      images: [{ ...image, key }],
    };
  };
  const typesOf = async (record: GenerationRecord, bucket = env.IMAGES) => {
    const { content } = await generationResult(record, { IMAGES: bucket }, readConfig(env));
    return content.map(({ type }) => type);
  };

  it("of 1 MiB comes with its link, a larger one as a link only", async () => {
    expect(await typesOf(await stored(INLINE_BYTES_MAX))).toEqual(["text", "text", "resource_link", "image"]);
    expect(await typesOf(await stored(INLINE_BYTES_MAX + 1))).toEqual(["text", "text", "resource_link"]);
  });

  it("comes as a link while the bucket fails", async () => {
    const record = await stored(8);
    await env.IMAGES.delete(record.images[0]?.key ?? "");
    expect(await typesOf(record)).toEqual(["text", "text", "resource_link"]);
    const broken = new Proxy(env.IMAGES, {
      get: () => () => Promise.reject(new Error("the bucket is away")),
    });
    expect(await typesOf(record, broken)).toEqual(["text", "text", "resource_link"]);
  });
});
