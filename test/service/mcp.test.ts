import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as FirstClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as FirstTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { newKey, type RunningService, startService } from "../support/service.ts";

/** The official MCP clients, in both of their generations, against the running service. */

const TOOLS = [
  "generate_image",
  "estimate_cost",
  "get_generation",
  "list_generations",
  "cancel_generation",
  "list_models",
  "get_credits",
];
const ASKED = { prompt: "a lighthouse at dusk", size: "1024x1024" };
const INFO = { name: "test", version: "1.0.0" };

let service: RunningService;

beforeAll(async () => {
  service = await startService();
});

afterAll(async () => await service.stop());

type Call = (
  name: string,
  args?: Record<string, unknown>,
  headers?: Record<string, string>,
) => Promise<Result>;
type Connected = { tools: string[]; version: string | undefined; call: Call; seen: string[] };

const Result = z.looseObject({
  isError: z.boolean().optional(),
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
});
type Result = z.infer<typeof Result>;

const addressOf = () => new URL("/mcp", service.origin);

const init = (key: string, more = {}) => ({
  requestInit: { headers: { Authorization: `Bearer ${key}`, ...more } },
});

/** The client of version 2, which speaks the newest revision, or an older one. */
async function second(key: string, mode: "auto" | "legacy", headers = {}): Promise<Connected> {
  const client = new Client(INFO, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(addressOf(), init(key, headers)));
  const seen: string[] = [];
  const onprogress = ({ message = "" }) => seen.push(message);
  return {
    seen,
    version: client.getNegotiatedProtocolVersion(),
    tools: (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}) =>
      Result.parse(await client.callTool({ name, arguments: args }, { onprogress })),
  };
}

/** The client of version 1. */
async function first(key: string, headers = {}): Promise<Connected> {
  const client = new FirstClient(INFO);
  const transport = new FirstTransport(addressOf(), init(key, headers));
  // The library's own types do not match each other under `exactOptionalPropertyTypes`.
  await client.connect(transport as Transport);
  const seen: string[] = [];
  const onprogress = ({ message = "" }) => seen.push(message);
  return {
    seen,
    version: transport.protocolVersion,
    tools: (await client.listTools()).tools.map(({ name }) => name),
    call: async (name, args = {}) =>
      Result.parse(await client.callTool({ name, arguments: args }, undefined, { onprogress })),
  };
}

describe.each([
  ["2, newest revision", "2026-07-28", (key: string, headers = {}) => second(key, "auto", headers)],
  ["2, older revision", "2025-11-25", (key: string, headers = {}) => second(key, "legacy", headers)],
  ["1", "2025-11-25", first],
])("the official client of version %s", (_, version, connect) => {
  it("makes, finds, reads and lists a picture, and pays once", async () => {
    const { call, tools, version: spoken, seen } = await connect(await newKey(service));
    expect([spoken, tools]).toEqual([version, TOOLS]);
    const made = await call("generate_image", { ...ASKED, idempotency_key: "cover-1" });
    expect(made).toMatchObject({
      content: [
        { type: "text", text: "1 picture for 8 credits. Show the user the URL of each one." },
        { type: "text" },
        { type: "resource_link", mimeType: "image/png" },
        { type: "image", mimeType: "image/png" },
      ],
      structuredContent: { object: "image_generation", status: "succeeded", usage: { credits: 8 } },
    });
    expect(made.isError).not.toBe(true);
    expect(JSON.parse(made.content[1]?.text ?? "")).toEqual(made.structuredContent);
    expect(seen[0]).toMatch(/^(queued|processing) after 0 s$/);
    const [, , link, picture] = made.content;
    const bytes = Buffer.from(await (await fetch(String(link?.["uri"]))).arrayBuffer());
    expect(bytes.toString("base64")).toBe(picture?.["data"]);

    const again = await call("generate_image", { ...ASKED, idempotency_key: "cover-1" });
    expect(again.structuredContent).toEqual(made.structuredContent);
    const id = made.structuredContent?.["id"];
    expect((await call("get_generation", { id })).content).toEqual(made.content);
    const page = { object: "list", data: [made.structuredContent], has_more: false };
    expect(await call("list_generations")).toMatchObject({ structuredContent: page });
    expect(await call("list_generations", { idempotency_key: "cover-1" })).toMatchObject({
      structuredContent: page,
    });
    expect(await call("get_credits")).toMatchObject({ structuredContent: { credits: 992 } });
    expect(await call("list_models")).toMatchObject({ structuredContent: { object: "list" } });
    const late = await call("cancel_generation", { id });
    expect([late.isError, late.content[0]?.text]).toEqual([true, expect.stringMatching(/^notCancelable: /)]);
  });

  it("is refused in words, with a code", async () => {
    const poor = await connect(await newKey(service, { credits: 7 }));
    const refused = await poor.call("generate_image", ASKED);
    expect(refused.isError).toBe(true);
    expect(refused.content[0]?.text).toMatch(
      /^insufficientCredits: This takes 8 credits and the account has 7\. .*\(required: 8, available: 7, request_id: req_/,
    );
    const wrong = await poor.call("generate_image", { ...ASKED, size: "1x1" });
    expect(wrong.content[0]?.text).toMatch(/^invalid_request: .*field: size/);
    const test = await connect(await newKey(service, { mode: "test" }), { "X-Test-Scenario": "refuse" });
    const rejected = await test.call("generate_image", ASKED);
    expect(rejected.content[0]?.text).toMatch(/^contentPolicyViolation: .*generation_id: gen_/);
    await expect(connect("gih_live_nobody")).rejects.toThrow(/401|API key/);
  });
});
