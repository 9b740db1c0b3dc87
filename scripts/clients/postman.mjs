import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Sends each request of the collection in the folder that is the argument. The only things set are the host and the key. */
const { GIH_URL, GIH_KEY } = process.env;
const collection = JSON.parse(readFileSync(join(process.argv[2], "collection.json"), "utf8"));

/** What cannot be imported: a file, a signature, and the operator's token, which is not the key. */
const UNSENDABLE = ["/api/v1/references", "/openai/v1/images/edits", "/api/stripe/webhook"];

let sent = 0;
for (const { name, request } of requestsOf(collection)) {
  const values = new Map((request.url.variable ?? []).map(({ key, value }) => [key, value]));
  const isExampleId = [...values.values()].includes("string");
  const parts = request.url.path.map((part) =>
    part.startsWith(":") ? (values.get(part.slice(1)) ?? part) : part,
  );
  const path = `/${parts.join("/")}`;
  if (path.startsWith("/api/admin/") || UNSENDABLE.includes(path)) continue;
  const on = (list = []) => list.filter(({ disabled }) => !disabled).map(({ key, value }) => [key, value]);
  const response = await fetch(`${GIH_URL}${path}?${new URLSearchParams(on(request.url.query))}`, {
    method: request.method,
    headers: { ...Object.fromEntries(on(request.header)), Authorization: `Bearer ${GIH_KEY}` },
    ...(request.body?.mode === "raw" ? { body: request.body.raw } : {}),
  });
  const text = await response.text();
  assert.ok(response.ok || (isExampleId && response.status === 404), `${name}: ${response.status} ${text}`);
  sent += 1;
}
assert.ok(sent > 15, `only ${sent} requests`);

function requestsOf({ item }) {
  return item.flatMap((entry) => (entry.item ? requestsOf(entry) : [entry]));
}
