import {
  type CallToolResult,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import type { Context } from "hono";
import type { AppEnv } from "../http/env.ts";
import { type ApiError, type ErrorCode, toApiError } from "../http/errors.ts";
import { findTool, type Progress, tools } from "./tools.ts";

const INFO = { name: "gpt-image-hub", title: "GPT Image Hub", version: "1.0.0" };

const INSTRUCTIONS =
  "Makes pictures from text and from reference pictures. Each picture costs credits; what is not delivered is refunded. " +
  "list_models shows the models with their sizes and prices. generate_image waits up to 50 seconds; if the picture is " +
  "not finished by then, call get_generation with the id. Never repeat generate_image for the same picture with " +
  "another idempotency_key: it would be paid twice.";

/** How long a client may keep the list of tools. */
const TOOLS_TTL_MS = 3_600_000;

/** The server of one request. */
export function createServer(c: Context<AppEnv>): Server {
  const server = new Server(INFO, {
    capabilities: { tools: {} },
    instructions: INSTRUCTIONS,
    cacheHints: { "tools/list": { ttlMs: TOOLS_TTL_MS, cacheScope: "public" } },
  });
  server.setRequestHandler("tools/list", () => ({ tools: tools.map(({ listed }) => listed()) }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const tool = findTool(params.name);
    if (!tool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, "There is no such tool.");
    try {
      return await tool.call(c, params.arguments ?? {}, progressOf(context));
    } catch (error) {
      return errorResult(toApiError(error, c), c);
    }
  });
  return server;
}

/** Sends the client the progress of a call, if it asked for it. */
function progressOf({ mcpReq }: ServerContext): Progress {
  const progressToken = mcpReq._meta?.progressToken;
  return {
    signal: mcpReq.signal,
    async tell(progress, message) {
      if (progressToken === undefined || mcpReq.signal.aborted) return;
      const params = { progressToken, progress, message };
      await mcpReq.notify({ method: "notifications/progress", params });
    },
  };
}

/** A refusal as the result of the tool, so that the model reads it and can act on it. */
function errorResult({ code, message, details }: ApiError, c: Context<AppEnv>): CallToolResult {
  const { param, extra = {}, headers = {} } = details;
  const retryAfter = headers["Retry-After"];
  const facts = Object.entries({
    ...(typeof param === "string" ? { field: param } : {}),
    ...extra,
    ...(retryAfter === undefined ? {} : { retry_after_seconds: retryAfter }),
    request_id: c.get("requestId"),
  }).map(([name, value]) => `${name}: ${value}`);
  const text = [`${code}: ${message}`, ADVICE.get(code), `(${facts.join(", ")})`].filter(Boolean).join(" ");
  return { isError: true, content: [{ type: "text", text }] };
}

/** What a model can do about a refusal, where its message does not say that. */
const ADVICE: ReadonlyMap<ErrorCode, string> = new Map([
  ["contentPolicyViolation", "The same request is refused again: change the prompt."],
  ["idempotencyMismatch", "Use a new idempotency_key for another picture."],
  ["insufficientCredits", "Tell the user: only the user can buy credits."],
  ["internalError", "Repeat the call with the same arguments and the same idempotency_key."],
  ["generationFailed", "To try once more, use a new idempotency_key."],
]);
