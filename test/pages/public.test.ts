import { describe, expect, it } from "vitest";
import { models } from "../../src/catalogue/models.ts";
import { STATUS } from "../../src/http/errors.ts";
import { GenerationBody } from "../../src/http/v1/generate.ts";
import { GUIDES } from "../../src/pages/docs/guide/routes.tsx";
import { SITE, Visitor } from "./visitor.ts";

const visitor = new Visitor();

const PAGE_BYTES_MAX = 85_000;

describe.each(GUIDES.map((guide) => [guide.texts.paths.guide, guide] as const))(
  "the guide at %s",
  (path, guide) => {
    it("is cached, in its language, and links to the other languages", async () => {
      const response = await visitor.get(path);
      const page = await response.text();
      expect(response.headers.get("cache-control")).toBe("public, max-age=300");
      expect(response.headers.getSetCookie()).toEqual([]);
      expect(page).toMatch(new RegExp(`^<!doctype html><html lang="${guide.texts.lang}">`));
      for (const { texts } of GUIDES) {
        expect(page).toContain(
          `<link rel="alternate" hreflang="${texts.lang}" href="${SITE}${texts.paths.guide}"/>`,
        );
      }
    });

    it("is small, and each of its headings links to itself", async () => {
      const page = await (await visitor.get(path)).text();
      expect(new TextEncoder().encode(page).length).toBeLessThan(PAGE_BYTES_MAX);
      const headings = [...page.matchAll(/<h[23][^>]*>.*?<\/h[23]>/g)].map(([heading]) => heading);
      expect(headings.length).toBeGreaterThan(Object.keys(guide.sections).length);
      for (const heading of headings)
        expect(heading).toMatch(/^<h([23]) id="([^"]+)"><a href="#\2">[^<]+<\/a><\/h\1>$/);
      const ids = [...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
      expect(new Set(ids).size).toBe(ids.length);
      for (const [, id] of page.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(id);
    });

    it("explains every field of a request", async () => {
      const page = await (await visitor.get(path)).text();
      for (const field of Object.keys(GenerationBody.shape))
        expect(page).toMatch(
          new RegExp(`<td><code>${field}</code></td><td><code>[^<]+</code></td><td>[^<]+</td>`),
        );
    });

    it("shows one language of each sample without scripts", async () => {
      const page = await (await visitor.get(path)).text();
      const groups = [...page.matchAll(/<fieldset class="code-tabs">.*?<\/fieldset>/gs)].map(
        ([group]) => group,
      );
      expect(groups.length).toBeGreaterThanOrEqual(5);
      for (const group of groups) {
        expect(group.match(/ checked=/g)).toHaveLength(1);
        expect(new Set([...group.matchAll(/ name="([^"]+)"/g)].map(([, name]) => name)).size).toBe(1);
      }
    });

    it("lists every price, aspect ratio and error code, with a meaning for each code", async () => {
      const page = await (await visitor.get(path)).text();
      for (const model of models) {
        for (const price of Object.values(model.credits)) expect(page).toContain(guide.credit(price));
        for (const ratio of model.supported_aspect_ratios) expect(page).toContain(ratio);
      }
      for (const [code, status] of Object.entries(STATUS)) {
        expect(page).toContain(`<td>${status}</td><td><code>${code}</code></td>`);
        expect(guide.codes[code], code).toBeTruthy();
      }
    });
  },
);

it("the landing page shows the prices", async () => {
  const page = await (await visitor.get("/")).text();
  for (const price of Object.values(models[0]?.credits ?? {})) expect(page).toContain(`${price} credits`);
});

describe("what search engines and browsers ask for", () => {
  it("robots.txt closes the account and the API, and names the sitemap", async () => {
    const response = await visitor.get("/robots.txt");
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    const lines = (await response.text()).split("\n");
    expect(lines).toContain("User-agent: *");
    expect(lines).toContain("Disallow: /account");
    expect(lines).toContain(`Sitemap: ${SITE}/sitemap.xml`);
  });

  it("the sitemap lists public pages only, and each exists", async () => {
    const response = await visitor.get("/sitemap.xml");
    expect(response.headers.get("content-type")).toMatch(/^application\/xml/);
    const urls = [...(await response.text()).matchAll(/<loc>([^<]+)<\/loc>/g)].map(([, url = ""]) => url);
    expect(urls).toContain(`${SITE}/tr/docs`);
    expect(urls.join()).not.toContain("operator");
    for (const url of urls) expect((await visitor.get(url.slice(SITE.length))).status, url).toBe(200);
  });

  it("the icon", async () => {
    const response = await visitor.get("/favicon.ico");
    expect([response.status, response.headers.get("location")]).toEqual([301, "/assets/icon.svg"]);
  });

  it("a preview of the landing page", async () => {
    const page = await (await visitor.get("/")).text();
    expect(page).toContain('<meta property="og:title" content="GPT Image Hub: an image-generation API"/>');
    expect(page).toContain(`<meta property="og:image" content="${SITE}/assets/pictures/lighthouse.webp"/>`);
  });
});

describe("a missing page", () => {
  it.each([
    ["/nothing", "text/html", "text/html; charset=UTF-8"],
    ["/nothing", "*/*", "application/json"],
    ["/api/v1/nothing", "text/html", "application/json"],
    ["/images/nothing", "text/html", "application/json"],
  ])("%s with Accept %s is %s", async (path, accept, contentType) => {
    const asking = new Visitor();
    asking.headers = { accept };
    const response = await asking.get(path);
    expect([response.status, response.headers.get("content-type")]).toEqual([404, contentType]);
    expect(response.headers.has("content-security-policy")).toBe(contentType.startsWith("text/html"));
  });

  it("is a 405 when an endpoint of the API does not support the method", async () => {
    const asking = new Visitor();
    asking.headers = { accept: "text/html" };
    const response = await asking.get("/api/v1/images/generations");
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});
