import { getPath } from "hono/utils/url";

export const NATIVE_BASE = "/api/v1";
export const OPENAI_BASE = "/openai/v1";

/**
 * The request's path as the routes have it. A base URL that is one slash or one `/v1` off leads to the same place:
 * clients build paths in different ways, and a redirect would lose the body of a POST. Other paths are not changed.
 */
export function pathOf(request: Request): string {
  const path = getPath(request);
  if (!UNUSUAL.test(path)) return path;
  const single = path.replace(/\/{2,}/g, "/").replace(/\/$/, "");
  const [, base, rest = ""] = /^(\/api\/v1|\/openai\/v1)(?:\/v1)*(\/.*)?$/.exec(single) ?? [];
  return base === undefined ? path : base + rest;
}

/** What a path has that may have to be changed. */
const UNUSUAL = /\/\/|\/$|\/v1\/v1/;

/** Paths that only the native API has, and those that OpenAI's has. Some are of both. */
const NATIVE_PATH = /\/(images\/generations|generations(\/[^/]+)?|models(\/[^/]+)?|credits)\/?$/;
const OPENAI_PATH = /\/(images\/(generations|edits)|models(\/[^/]+)?)\/?$/;

/** Parts of OpenAI's API that do not exist here. Clients that offer more than images request them. */
const NOT_HERE =
  /^\/openai\/v1\/(chat|completions|responses|embeddings|files|audio|moderations|assistants|threads|batches|uploads|videos|images\/variations)(\/|$)/;

/**
 * A message that lists the supported routes, for a part of OpenAI's API that does not exist here; null for other URLs.
 */
export function whatThereIs(url: string): string | null {
  const [, part] = NOT_HERE.exec(new URL(url).pathname) ?? [];
  if (part === undefined) return null;
  return `This service makes images only, and has no ${part}. There are POST ${OPENAI_BASE}/images/generations, POST ${OPENAI_BASE}/images/edits and GET ${OPENAI_BASE}/models.`;
}

/** A message with the base URL that the caller probably meant; null when the path looks like none of ours. */
export function rightBase(url: string): string | null {
  const { origin, pathname } = new URL(url);
  const bases = [
    ...(OPENAI_PATH.test(pathname) ? [`${origin}${OPENAI_BASE} for OpenAI's API`] : []),
    ...(NATIVE_PATH.test(pathname) ? [`${origin}${NATIVE_BASE} for this service's own`] : []),
  ];
  return bases.length === 0 ? null : `Use the base URL ${bases.join(", or ")}.`;
}
