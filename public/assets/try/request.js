/**
 * @typedef {{ name: string, in: string, required?: boolean, description?: string, example?: unknown }} Parameter
 * @typedef {{ operationId: string, path: string, method: string, parameters?: Parameter[], security: object[],
 *   requestBody?: { content: Record<string, { example?: unknown }> } }} Operation of the OpenAPI document
 * @typedef {{ url: string, method: string, headers: Record<string, string>, body: string | null }} Request
 */

/**
 * The request that the fields of a form describe.
 * @param {Operation} operation
 * @param {ReadonlyMap<string, string>} values of the parameters, by name; empty ones are left out
 * @param {string} key the API key; "" sends none
 * @param {string | null} body JSON
 * @returns {Request}
 */
export function requestOf({ path, method, parameters = [] }, values, key, body) {
  const url = new URL(location.origin);
  url.pathname = path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(values.get(name) ?? ""));
  const headers = {
    ...(key === "" ? {} : { Authorization: `Bearer ${key}` }),
    ...(body === null ? {} : { "Content-Type": "application/json" }),
    ...Object.fromEntries(
      parameters.flatMap(({ name, in: place }) => {
        const value = values.get(name) ?? "";
        return place === "header" && value !== "" ? [[name, value]] : [];
      }),
    ),
  };
  for (const { name, in: place } of parameters) {
    const value = values.get(name) ?? "";
    if (place === "query" && value !== "") url.searchParams.set(name, value);
  }
  return { url: url.href, method, headers, body };
}

/**
 * The same request for a shell. The key is a variable, so that a copied command does not contain it.
 * @param {Request} request
 */
export function curlOf({ url, method, headers, body }) {
  const lines = [
    `curl ${method === "GET" ? "" : `-X ${method} `}${quoted(url)}`,
    ...Object.entries(headers).map(([name, value]) =>
      name === "Authorization" ? '-H "Authorization: Bearer $GIH_KEY"' : `-H ${quoted(`${name}: ${value}`)}`,
    ),
    ...(body === null ? [] : [`-d ${quoted(body)}`]),
  ];
  return lines.join(" \\\n  ");
}

/** @param {string} text */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
