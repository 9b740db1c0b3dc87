import { Hono } from "hono";
import { expect, it } from "vitest";
import { PageError, type PagesEnv } from "../../src/pages/env.ts";
import { FORM_LIMITS, readForm } from "../../src/pages/forms.ts";
import { withTexts } from "../../src/pages/texts/language.ts";
import type { TextLimits } from "../../src/text.ts";
import { sleep } from "../../src/time.ts";

/** Reads a form with this body. Returns its fields, or the status of the error. */
async function read(
  body: BodyInit | null,
  limits: Partial<TextLimits> = {},
  headers: Record<string, string> = {},
) {
  const app = new Hono<PagesEnv>();
  app.use(withTexts);
  app.post("/", async (c) => c.json([...(await readForm(c, { ...FORM_LIMITS, ...limits }))]));
  app.onError((error, c) => c.text(error.message, error instanceof PageError ? error.status : 500));
  const type = { "Content-Type": "application/x-www-form-urlencoded", ...headers };
  const response = await app.request("/", { method: "POST", body, headers: type });
  return response.status === 200 ? response.json() : response.status;
}

it("reads the fields of a form, and none of an empty body", async () => {
  expect(await read("a=1&b=%C3%A9&__proto__=2", {}, { "Content-Encoding": "identity" })).toEqual([
    ["a", "1"],
    ["b", "é"],
    ["__proto__", "2"],
  ]);
  expect(await read(null)).toEqual([]);
});

it("accepts a form of the maximum size, and rejects a larger one", async () => {
  expect(await read(`a=${"x".repeat(8)}`, { bytesMax: 10 })).toEqual([["a", "x".repeat(8)]]);
  expect(await read(`a=${"x".repeat(9)}`, { bytesMax: 10 })).toBe(413);
});

it.each<[string, Partial<TextLimits>]>([
  ["takes longer than the maximum duration", { durationMsMax: 200 }],
  ["stops arriving", { stallMsMax: 10 }],
])("rejects a form that %s", async (_, limits) => {
  expect([FORM_LIMITS.durationMsMax, FORM_LIMITS.stallMsMax]).toEqual([60_000, 30_000]);
  let cancelled = false;
  const body = new ReadableStream({
    pull: async (controller) => {
      await sleep(30);
      controller.enqueue(new TextEncoder().encode("a"));
    },
    cancel: () => {
      cancelled = true;
    },
  });
  expect([await read(body, limits), cancelled]).toEqual([400, true]);
});

it("rejects a compressed form, and one that is not UTF-8", async () => {
  expect(await read("a=1", {}, { "Content-Encoding": "gzip" })).toBe(400);
  expect(await read(Uint8Array.of(0x61, 0x3d, 0xff))).toBe(400);
});
