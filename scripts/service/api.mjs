/** Calls to the service's API, and reading their JSON. */
import { Failure } from "../lib.mjs";

/**
 * Sends a JSON request to the service.
 * @param {string} url
 * @param {string} bearer
 * @param {unknown} [body] sent with POST when given
 * @returns {Promise<{ status: number, headers: { get(name: string): string | null }, body: unknown }>}
 */
export async function callApi(url, bearer, body) {
  const authorization = `Bearer ${bearer}`;
  try {
    const response = await fetch(
      url,
      body === undefined
        ? { headers: { authorization } }
        : {
            method: "POST",
            headers: { authorization, "content-type": "application/json" },
            body: JSON.stringify(body),
          },
    );
    return { status: response.status, headers: response.headers, body: await response.json() };
  } catch (error) {
    throw new Failure(`${url} returned no valid response: ${error instanceof Error ? error.message : error}`);
  }
}

/**
 * Returns the body of a successful response. Throws the message of an error.
 * @param {{ status: number, body: unknown }} answer
 */
export function accepted({ status, body }) {
  if (status < 300) return body;
  const message = pick(body, "error", "message");
  throw new Failure(typeof message === "string" ? message : `The service returned ${status}.`);
}

/**
 * A value inside parsed JSON, or undefined when the path does not exist.
 * @param {unknown} value
 * @param {...(string | number)} path
 * @returns {unknown}
 */
export function pick(value, ...path) {
  /** @type {unknown} */
  let at = value;
  for (const step of path) {
    at = typeof at === "object" && at !== null ? Reflect.get(at, step) : undefined;
  }
  return at;
}

/** @param {unknown} value @param {...(string | number)} path */
export function textOf(value, ...path) {
  const found = pick(value, ...path);
  if (typeof found !== "string") throw new Failure(`The response has no ${path.join(".")}.`);
  return found;
}

/** @param {unknown} value @param {...(string | number)} path */
export function numberOf(value, ...path) {
  const found = pick(value, ...path);
  if (typeof found !== "number") throw new Failure(`The response has no ${path.join(".")}.`);
  return found;
}
