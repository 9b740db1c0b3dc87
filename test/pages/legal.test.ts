import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/config.ts";
import worker from "../../src/index.ts";
import { Visitor } from "./visitor.ts";

const NAMED = {
  OPERATOR_NAME: "Example & Sons",
  SUPPORT_EMAIL: "support@example.com",
  STATUS_URL: "https://status.example.com",
};
const PATHS = ["/terms", "/privacy", "/tr/terms", "/tr/privacy"];

/** A visitor of a deployment with these settings. */
function visitorOf(settings: Record<string, string>): Visitor {
  return new Visitor(async (request) => {
    const context = createExecutionContext();
    const response = await worker.fetch(request, { ...env, ...settings }, context);
    await waitOnExecutionContext(context);
    return response;
  });
}

const read = async (visitor: Visitor, path: string) => (await visitor.get(path)).text();

describe("terms and privacy", () => {
  it.each(PATHS)("%s names the operator and the contact, and is cached", async (path) => {
    const response = await visitorOf(NAMED).get(path);
    const page = await response.text();
    expect([response.status, response.headers.get("cache-control")]).toEqual([200, "public, max-age=300"]);
    expect(page).toContain("Example &amp; Sons");
    expect(page).toContain("support@example.com");
    expect(page).toMatch(path.startsWith("/tr/") ? /<html lang="tr">/ : /<html lang="en">/);
    expect(page).not.toMatch(/\[[A-Z ]+\]|undefined|null/);
  });

  it.each([{}, { OPERATOR_NAME: "Example" }, { SUPPORT_EMAIL: "support@example.com" }])(
    "do not exist with %o only, and nothing links them",
    async (settings) => {
      const visitor = visitorOf(settings);
      for (const path of PATHS) expect((await visitor.get(path)).status, path).toBe(404);
      expect(await read(visitor, "/")).not.toContain('href="/terms"');
      expect(await read(visitor, "/sitemap.xml")).not.toContain("/terms");
    },
  );

  it("are linked in the footer and the sitemap, in the page's language", async () => {
    const visitor = visitorOf(NAMED);
    expect(await read(visitor, "/")).toContain('<a href="/terms">Terms</a>');
    expect(await read(visitor, "/tr/docs")).toContain('<a href="/tr/privacy">Gizlilik</a>');
    for (const path of PATHS) expect(await read(visitor, "/sitemap.xml")).toContain(`${path}</loc>`);
  });

  it("say how long images are kept, and mention payments only where credits are sold", async () => {
    const plain = await read(visitorOf(NAMED), "/privacy");
    expect(plain).toContain("stored until you delete them.");
    expect(plain).not.toContain("Stripe");
    const other = { RETENTION_DAYS: "45", STRIPE_SECRET_KEY: "sk_test_x", STRIPE_WEBHOOK_SECRET: "whsec_x" };
    const page = await read(visitorOf({ ...NAMED, ...other }), "/privacy");
    expect(page).toContain("for at most 45 days");
    expect(page).toContain("Stripe");
  });
});

it("the footer links support and status where they are configured", async () => {
  expect(await read(visitorOf({}), "/")).not.toMatch(/mailto:|Status/);
  const page = await read(visitorOf(NAMED), "/");
  expect(page).toContain('<a href="mailto:support@example.com">Support</a>');
  expect(page).toContain('<a href="https://status.example.com">Status</a>');
});

it("an operator's name has at most 100 characters", () => {
  expect(readConfig({ OPERATOR_NAME: "x".repeat(100) }).OPERATOR_NAME).toHaveLength(100);
  expect(() => readConfig({ OPERATOR_NAME: "x".repeat(101) })).toThrow("OPERATOR_NAME");
  expect(() => readConfig({ SUPPORT_EMAIL: "x" })).toThrow("SUPPORT_EMAIL");
});

it("a page of a configuration error has no such links", async () => {
  const response = await visitorOf({ ...NAMED, STATUS_URL: "x" }).get("/");
  const page = await response.text();
  expect([response.status, page.includes("Something went wrong")]).toEqual([503, true]);
});
