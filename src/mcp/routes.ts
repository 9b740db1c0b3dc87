import {
  createMcpHandler,
  localhostAllowedOrigins,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import type { Context } from "hono";
import { readConfig } from "../config.ts";
import { createApp } from "../http/app.ts";
import { authenticate } from "../http/authenticate.ts";
import { readJsonText } from "../http/body.ts";
import { cors } from "../http/cors.ts";
import type { AppEnv } from "../http/env.ts";
import { readTestScenario } from "../http/submission.ts";
import { log } from "../log.ts";
import { publicOrigin } from "../origin.ts";
import { createServer } from "./server.ts";

/**
 * The MCP server: Streamable HTTP without sessions, in the revision of 2026-07-28 and in those before it. A request has
 * an API key, like every other request of the API. Other methods than POST are a 405: there is no session to open or
 * end.
 */
export const mcp = createApp();

mcp.use("/mcp", cors);

mcp.post("/mcp", async (c) => {
  const foreign = refuseOrigin(c);
  if (foreign) return foreign;
  // The account counts generations. All requests together are limited as reads are.
  c.set("caller", await authenticate(c, false));
  readConfig(c.env);
  readTestScenario(c);
  const parsedBody: unknown = JSON.parse(await readJsonText(c));
  const handler = createMcpHandler(() => createServer(c), {
    // The tools never change, so no client needs a stream to learn of changes.
    maxSubscriptions: 0,
    // A message may quote the request.
    onerror: ({ name }) => log("mcp_refused", { request_id: c.get("requestId"), error: name }),
  });
  return await handler.fetch(c.req.raw, { parsedBody });
});

/**
 * A page of another site must not use the server (MCP, "Streamable HTTP", security warning). Pages of this service and
 * of a loopback host, where developer tools run, may. Programs send no `Origin`.
 */
function refuseOrigin(c: Context<AppEnv>): Response | undefined {
  if (c.req.header("Origin") === undefined) return undefined;
  const { hostname } = new URL(publicOrigin(readConfig(c.env), c.req.url));
  return originValidationResponse(c.req.raw, [hostname, ...localhostAllowedOrigins()]);
}
