import { describe, expect, it } from "vitest";
import { checkUrl } from "../../src/references/addresses.ts";
import { HARMLESS, HOSTILE, INSECURE, NEVER } from "./urls.ts";

describe("checkUrl", () => {
  it.each(HOSTILE)("refuses %j: %s", (url, reason) => {
    expect(checkUrl(url, false)).toEqual({ kind: "refused", reason: expect.stringContaining(reason) });
  });

  it.each(HARMLESS)("lets %j in, as %s", (url, called) => {
    const check = checkUrl(url, false);
    expect([check.kind, check.kind === "allowed" && check.url.href]).toEqual(["allowed", called]);
  });

  it.each(INSECURE)("lets %j in where insecure URLs are allowed", (url) => {
    expect(checkUrl(url, true).kind).toBe("allowed");
  });

  it.each(NEVER)("refuses %j even there", (url) => {
    expect(checkUrl(url, true).kind).toBe("refused");
  });

  it.each(HOSTILE)("is no less strict about %j for the rest of the table", (url) => {
    const check = checkUrl(url, true);
    if (check.kind === "refused") return;
    expect(`${check.url.protocol}//${check.url.hostname}`).toMatch(
      /^http:\/\/example\.com$|^https?:\/\/(127(\.\d+){3}|\[::1\]|(.+\.)?localhost)$/,
    );
  });
});
