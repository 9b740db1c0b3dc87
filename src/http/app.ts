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

export const app = new Hono<AppEnv>({ getPath: pathOf });

/** Around every request: its id, what every answer says, and one line in the log. */
app.use(async (c, next) => {
  const started = Date.now();
  const requestId = newId("req");
  c.set("requestId", requestId);
  await next();
  const { headers } = c.res;
  headers.set("X-Request-Id", requestId);
  if (isForPrograms(c.req.path)) {
    // For one caller, one time, and of the type it says.
    headers.set("Cache-Control", "no-store");
    headers.set("X-Content-Type-Options", "nosniff");
  }
  log("request", {
    request_id: requestId,
    method: c.req.method,
    // The one that answered: more may match.
    route: routePath(c),
    status: c.res.status,
    code: c.get("errorCode"),
    ms: Date.now() - started,
    user_id: c.get("userId"),
    generation_id: c.get("generationId"),
  });
});

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

app.onError(renderError);

app.notFound((c) => {
  const allowed = METHODS.filter((method) => answers(method === "HEAD" ? "GET" : method, c.req.path));
  const render = c.req.path.startsWith("/openai/") ? renderOpenAIError : renderError;
  // Returned, not thrown: what is thrown here would skip the headers that are set around it.
  if (allowed.length === 0) return render(nothingAt(c.req.url), c);
  const message = `This address takes ${allowed.join(", ")}.`;
  return render(new ApiError("methodNotAllowed", message, { headers: { Allow: allowed.join(", ") } }), c);
});

/** A 404 that names the right base URL, where the address looks like a call of the API. */
function nothingAt(url: string): ApiError {
  const hint = rightBase(url);
  const error = notFound();
  return hint === null ? error : new ApiError("notFound", `${error.message} ${hint}`);
}

function isForPrograms(path: string): boolean {
  return path.startsWith("/api/") || path.startsWith("/openai/");
}

/** Whether a route, and not only what is around all of them, answers this method at this path. */
function answers(method: string, path: string): boolean {
  const [handlers] = app.router.match(method, path);
  return handlers.some(([[, route]]) => route.method === method);
}
