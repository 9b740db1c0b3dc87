import { describe, expect, it } from "vitest";
import { Visitor } from "./visitor.ts";

const visitor = new Visitor();
const OTHER_VERSION = "00000000-0000-4000-8000-000000000000";

/** The addresses of a page's styles, scripts, icon and images. */
async function assetsOf(path: string): Promise<string[]> {
  const page = await (await visitor.get(path)).text();
  return [...page.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, address = ""]) => address);
}

describe("the files of the pages", () => {
  it("have names that change with the version, and are cached for a year", async () => {
    const addresses = await assetsOf("/");
    expect(addresses.length).toBeGreaterThan(5);
    for (const address of addresses) {
      expect(address).toMatch(/^\/assets\/[0-9a-f-]{36}\//);
      const response = await visitor.get(address);
      expect([address, response.status]).toEqual([address, 200]);
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect((await response.arrayBuffer()).byteLength).toBeGreaterThan(0);
    }
  });

  it("answer under the name of another version, but no cache keeps them under it", async () => {
    const [address = ""] = await assetsOf("/docs");
    const response = await visitor.get(address.replace(/[0-9a-f-]{36}/, OTHER_VERSION));
    expect([response.status, response.headers.get("cache-control")]).toEqual([
      200,
      "public, max-age=0, must-revalidate",
    ]);
    expect(await response.text()).toBe(await (await visitor.get(address)).text());
  });

  it.each([
    ...["nothing.css", "../openapi.json", "%2e%2e/openapi.json"],
    ...["..%2fopenapi.json", "..%2f..%2fopenapi.json", "..%2F..%2Fopenapi.json", "%2e%2e%2fopenapi.json"],
    ...[
      "..%5copenapi.json",
      "..\\openapi.json",
      "%2fopenapi.json",
      "/openapi.json",
      "pictures/../icon.svg%2f",
    ],
    ...[
      "..%252f..%252fopenapi.json",
      "%252e%252e%252fopenapi.json",
      "%e0%a4%a",
      "base.css%00",
      "base%2ecss%3f",
    ],
    ...["", "%20", "pictures/", "pictures", "playground/form.js/more", `${"a".repeat(10_000)}.css`],
  ])("%s is not one of them", async (name) => {
    const response = await visitor.get(`/assets/${OTHER_VERSION}/${name}`);
    expect(response.status).toBe(404);
    expect(response.headers.get("cache-control") ?? "").not.toContain("immutable");
  });
});
