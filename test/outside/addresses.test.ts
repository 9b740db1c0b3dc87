import { describe, expect, it } from "vitest";
import { checkUrl } from "../../src/references/addresses.ts";
import { HARMLESS, HOSTILE } from "../references/urls.ts";

/** The same table as in workerd: the clients and tools that run in Node read URLs alike. */
describe("checkUrl in Node", () => {
  it("refuses the same URLs for the same reasons", () => {
    const told = HOSTILE.map(([url]) => {
      const check = checkUrl(url, false);
      return [url, check.kind === "refused" && check.reason];
    });
    expect(told).toEqual(HOSTILE.map(([url, reason]) => [url, expect.stringContaining(reason)]));
  });

  it("lets the same URLs in", () => {
    const called = HARMLESS.map(([url]) => {
      const check = checkUrl(url, false);
      return [url, check.kind === "allowed" && check.url.href];
    });
    expect(called).toEqual(HARMLESS);
  });
});
