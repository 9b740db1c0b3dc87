import { Hono } from "hono";
import { routePath } from "hono/route";
import { newId } from "../id.ts";
import { log } from "../log.ts";
import { admin } from "./admin/routes.ts";
import { cors } from "./cors.ts";
import type { AppEnv } from "./env.ts";
import { ApiError, notFound, renderError } from "./errors.ts";
import { images } from "./images.ts";
import { renderOpenAIError } from "./openai/errors.ts";
import { openai } from "./openai/routes.ts";
import { NATIVE_BASE, OPENAI_BASE, pathOf, rightBase } from "./paths.ts";
import { service } from "./service.ts";
import { credits } from "./v1/credits.ts";
import { generate } from "./v1/generate.ts";
import { generations } from "./v1/generations.ts";
import { modelRoutes } from "./v1/models.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

/** Paths for programs. All others are pages. */
const API_PATHS = /^\/(api|openai|images|\.well-known)(\/|$)/;

export function isApiPath(path: string): boolean {
  return API_PATHS.test(path);
}

/** An app without routes: gives each request its id, headers and log line, and renders errors. */
export function createApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>({ getPath: pathOf });
  app.use(async (c, next) => {
    const started = Date.now();
    const requestId = newId("req");
    c.set("requestId", requestId);
    await next();
    const { headers } = c.res;
    headers.set("X-Request-Id", requestId);
    if (/^\/(api|openai)\//.test(c.req.path)) {
      // For one caller, one time, and of the declared type.
      headers.set("Cache-Control", "no-store");
      headers.set("X-Content-Type-Options", "nosniff");
    }
    log("request", {
      request_id: requestId,
      method: c.req.method,
      // The route that answered. Others may match.
      route: routePath(c),
      status: c.res.status,
      code: c.get("errorCode"),
      ms: Date.now() - started,
      user_id: c.get("userId"),
      generation_id: c.get("generationId"),
    });
  });
  app.onError(renderError);
  app.notFound((c) => {
    // Whether a route, and not only a middleware, answers this method at this path.
    const answers = (method: string) =>
      app.router.match(method, c.req.path)[0].some(([[, route]]) => route.method === method);
    const allowed = METHODS.filter((method) => answers(method === "HEAD" ? "GET" : method));
    const render = c.req.path.startsWith("/openai/") ? renderOpenAIError : renderError;
    // Returned, not thrown: an error thrown here would skip the headers that are set around it.
    if (allowed.length === 0) return render(nothingAt(c.req.url), c);
    const methods = allowed.join(", ");
    const details = { headers: { Allow: methods } };
    return render(new ApiError("methodNotAllowed", `This address takes ${methods}.`, details), c);
  });
  return app;
}

/** The API. */
export const app = createApp();

app.use(`${NATIVE_BASE}/*`, cors);
app.use(`${OPENAI_BASE}/*`, cors);

app.route(NATIVE_BASE, modelRoutes);
app.route(NATIVE_BASE, credits);
app.route(NATIVE_BASE, generate);
app.route(NATIVE_BASE, generations);
app.route("/api/admin", admin);
app.route(OPENAI_BASE, openai);
app.route("/images", images);
app.route("/", service);

/** A 404 that names the right base URL when the address looks like a call of the API. */
function nothingAt(url: string): ApiError {
  const hint = rightBase(url);
  const error = notFound();
  return hint === null ? error : new ApiError("notFound", `${error.message} ${hint}`);
}
