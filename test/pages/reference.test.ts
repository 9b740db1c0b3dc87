import { describe, expect, it } from "vitest";
import { routes } from "../../src/http/openapi/routes.ts";
import { GUIDES } from "../../src/pages/docs/guide/routes.tsx";
import { Visitor } from "./visitor.ts";

const PAGE_BYTES_MAX = 100_000;
const INDEX = "/docs/reference";
const PAGES = ["/api", "/openai", "/operator", "/operations", "/credits", "/webhooks"].map(
  (name) => INDEX + name,
);

const visitor = new Visitor();
const read = async (path: string) => (await visitor.get(path)).text();

describe.each([INDEX, ...PAGES])("the reference at %s", (path) => {
  it("is small, cached, in English, and loads nothing from other sites", async () => {
    const response = await visitor.get(path);
    const page = await response.text();
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(page).toMatch(/^<!doctype html><html lang="en">/);
    expect(page).not.toMatch(/ (src|href)="(https?:)?\/\//);
    expect(new TextEncoder().encode(page).length).toBeLessThan(PAGE_BYTES_MAX);
  });
});

it.each(routes.map((route) => [route.id, route] as const))(
  "%s is documented completely",
  async (id, route) => {
    const [, linked] = (await read(INDEX)).match(new RegExp(`href="([^"#]*)#${id}"`)) ?? [];
    // The operator's routes are not shown to customers.
    expect(linked === undefined).toBe(/^operat(or|ions)$/.test(route.tag));
    const path = linked ?? `${INDEX}/${route.tag}`;
    expect(PAGES).toContain(path);
    const [section = ""] =
      (await read(path ?? "")).match(new RegExp(`<section aria-labelledby="${id}">.*?</section>`, "s")) ?? [];
    expect(section).toContain(`<strong>${route.method.toUpperCase()}</strong> ${route.path}</code>`);
    for (const status of Object.keys(route.answers).filter((given) => Number(given) < 400)) {
      expect(section).toContain(`<strong>${status}</strong>`);
    }
    for (const status of route.errors.filter((given) => route.answers[given] === undefined)) {
      expect(section).toMatch(new RegExp(`<td>${status}</td><td><code>\\w+</code>`));
    }
  },
);

const FIELDS = [
  ["/api", "prompt", "string", "Required. "],
  ["/api", "output_compression", "integer", "<code>0–100</code>"],
  ["/api", "output_format", "string", "One of <code>png</code>, <code>jpeg</code>, <code>webp</code>."],
  ["/api", "reference_image", "list of file", "In multipart/form-data."],
  ["/api", "Idempotency-Key", "string", "<code>1–255 characters</code>"],
  ["/api", "id", "string", "Required. In path."],
  ["/api", "images[].url", "string", "Valid until the generation is deleted. Needs no API key."],
  ["/api", "data[].images[].width", "integer", "<code>≥ 1</code>"],
  ["/api", "poll_url", "string", "Optional. "],
  ["/api", "balance.next_expiration", "string or null", "soonest-expiring"],
  ["/openai", "quality", "string or null", "<code>auto</code>, <code>low</code>"],
  ["/openai", "images[].image_url", "string or object", "Required."],
  ["/operator", "api_key", "string", "never shown again"],
] as const;

it.each(FIELDS)("%s documents %s: %s, %s", async (name, field, type, note) => {
  const page = await read(INDEX + name);
  const rows = page
    .split("<tr>")
    .filter((row) => row.startsWith(`<td><code>${field}</code></td><td>${type}</td>`));
  expect(rows.some((row) => row.includes(note))).toBe(true);
});

it("lists the error codes of each API and operation, in the spelling of that API", async () => {
  const [api, openai, operator] = await Promise.all(PAGES.map(read));
  expect(api).toContain("<code>contentPolicyViolation</code>");
  expect(openai).toContain("<code>moderation_blocked</code>");
  expect(operator).not.toMatch(/<td>400<\/td><td>[^/]*<code>contentPolicyViolation/);
});

it.each(GUIDES.map(({ texts }) => texts.paths.guide))(
  "%s links to the reference, and lists every endpoint of callers",
  async (path) => {
    const page = await read(path);
    expect(page).toContain(`href="${INDEX}"`);
    const own = routes.filter((route) => route.path.startsWith("/api/v1/"));
    for (const route of own) {
      const address = `${route.method.toUpperCase()} ${route.path.replace("{id}", ":id")}`;
      expect(page).toContain(`<code>${address}</code>`);
    }
    expect(page).toContain("/openai/v1</code>");
  },
);
