import { type Context, Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { routePath } from "hono/route";
import { newId } from "../id.ts";
import { log } from "../log.ts";
import { measure } from "../metrics.ts";
import { cors } from "./cors.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, notFound, renderError } from "./errors.ts";
import { images } from "./images.ts";
import { renderOpenAIError } from "./openai/errors.ts";
import { NATIVE_BASE, pathOf, rightBase, whatThereIs } from "./paths.ts";
import { service } from "./service.ts";
import { credits } from "./v1/credits.ts";
import { estimate } from "./v1/estimate.ts";
import { events } from "./v1/events.ts";
import { generate } from "./v1/generate.ts";
import { generations } from "./v1/generations.ts";
import { key } from "./v1/key.ts";
import { modelRoutes } from "./v1/models.ts";
import { references } from "./v1/references.ts";
import { usage } from "./v1/usage.ts";
import { webhooks } from "./v1/webhooks.ts";

/** An app without routes: gives each request its id, headers and log line, and renders errors. */
export function createApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ getPath: pathOf });
  // Without a header name, callers cannot choose an id. It is set below, because an error replaces the response.
  app.use(requestId({ headerName: "", generator: () => newId("req") }));
  app.use(async (c, next) => {
    const started = Date.now();
    await next();
    const { headers } = c.res;
    headers.set("X-Request-Id", c.get("requestId"));
    if (/^\/(api|openai|mcp)(\/|$)/.test(c.req.path)) {
      // Responses are for one caller and one request, and have the declared type.
      headers.set("Cache-Control", "no-store");
      headers.set("X-Content-Type-Options", "nosniff");
    }
    // The route that answered. Others may match.
    const route = routePath(c);
    const { status } = c.res;
    const code = c.get("errorCode");
    const ms = Date.now() - started;
    measure(c.env, {
      kind: "request",
      labels: { method: c.req.method, route, status: String(status), code: code ?? "" },
      values: { ms },
    });
    log("request", {
      request_id: c.get("requestId"),
      method: c.req.method,
      route,
      status,
      code,
      ms,
      user_id: c.get("userId"),
      generation_id: c.get("generationId"),
      version: c.env.VERSION?.id,
    });
  });
  app.use(methodNotAllowed({ app, onMethodNotAllowed: refuseMethod }));
  app.onError((error, c) => rendererOf(c)(error, c));
  // Returned, not thrown: an error thrown here would skip the headers that are set around it.
  app.notFound((c) => rendererOf(c)(nothingAt(c.req.url), c));
  return app;
}

/** A 405, except where a page for people shows a 404. */
function refuseMethod(c: Context<AppEnv>, allowed: readonly string[]): Response {
  if (c.res.headers.get("Content-Type")?.startsWith("text/html")) return c.res;
  const methods = allowed.toSorted().join(", ");
  const details = { headers: { Allow: methods } };
  return rendererOf(c)(new ApiError("methodNotAllowed", `This URL supports ${methods}.`, details), c);
}

/** The native API, and the URLs of its images. */
export const app = createApp();

app.use(`${NATIVE_BASE}/*`, cors);

app.route(NATIVE_BASE, modelRoutes);
app.route(NATIVE_BASE, credits);
app.route(NATIVE_BASE, key);
app.route(NATIVE_BASE, usage);
app.route(NATIVE_BASE, generate);
app.route(NATIVE_BASE, estimate);
app.route(NATIVE_BASE, generations);
app.route(NATIVE_BASE, references);
app.route(NATIVE_BASE, webhooks);
app.route(NATIVE_BASE, events);
app.route("/images", images);
app.route("/", service);

/** Errors have the format of the API at their path. */
function rendererOf(c: Context<AppEnv>) {
  return c.req.path.startsWith("/openai/") ? renderOpenAIError : renderError;
}

/** A 404 with a hint, when the path looks like one of this API or of OpenAI's. */
function nothingAt(url: string): ApiError {
  const hint = whatThereIs(url) ?? rightBase(url);
  const error = notFound();
  return hint === null ? error : new ApiError("notFound", `${error.message} ${hint}`);
}
