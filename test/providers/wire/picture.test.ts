import { afterEach, describe, expect, it, vi } from "vitest";
import { openPicture, PICTURE_ATTEMPTS, PICTURE_MS_MAX } from "../../../src/providers/wire/picture.ts";

const baseUrl = "http://gateway.test:8080/v1";
const picture = () => new Response(new Uint8Array(200_000).fill(7));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Fetches and reads the image. The host gives these responses in turn, and repeats the last one. */
async function open(address: string, ...answers: (() => Response | Promise<Response>)[]) {
  const asked: { url: string; init: RequestInit | undefined }[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    asked.push({ url: String(url), init });
    const answer = answers[asked.length - 1] ?? answers.at(-1);
    if (!answer) throw new Error("no answer");
    return await answer();
  });
  const signal = new AbortController().signal;
  const read = async () => {
    const body = await openPicture(address, { baseUrl, idleMs: 500, signal });
    return (await new Response(body).bytes()).length;
  };
  const result = await read().catch((error: unknown) => error);
  return { result, asked };
}

describe("openPicture", () => {
  it.each([
    ["https://cdn.test/a.png?sig=x%2Fy", "https://cdn.test/a.png?sig=x%2Fy"],
    ["http://gateway.test:8080/files/a.png", "http://gateway.test:8080/files/a.png"],
    ["/files/a.png", "http://gateway.test:8080/files/a.png"],
  ])("gets %s whole, without the key, and follows nothing", async (address, url) => {
    const { result, asked } = await open(address, picture);
    expect(result).toBe(200_000);
    expect(asked).toMatchObject([{ url, init: { redirect: "manual" } }]);
    expect(asked[0]?.init?.headers).toBeUndefined();
  });

  it.each([
    "http://cdn.test/a.png",
    "http://gateway.test/a.png",
    "http://gateway.test:8081/a.png",
    "https://user@cdn.test/a.png",
    "https://user:password@cdn.test/a.png",
    "ftp://gateway.test:8080/a.png",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "https://",
  ])("does not ask %s", async (address) => {
    const { result, asked } = await open(address, picture);
    expect(result).toMatchObject({ failure: { reason: "undelivered" } });
    expect(asked).toEqual([]);
  });

  it.each<[what: string, first: () => Response | Promise<Response>]>([
    ["no answer", () => Promise.reject(new Error("reset"))],
    ["404, which may not have come through yet", () => new Response(null, { status: 404 })],
    ["429", () => new Response(null, { status: 429 })],
    ["503", () => new Response(null, { status: 503 })],
  ])("asks again after %s, three times in all", async (_, first) => {
    const again = await open("https://cdn.test/a.png", first, first, picture);
    expect([again.result, again.asked.length]).toEqual([200_000, PICTURE_ATTEMPTS]);
    const never = await open("https://cdn.test/a.png", first);
    expect(never.result).toMatchObject({ failure: { reason: "undelivered" } });
    expect(never.asked).toHaveLength(PICTURE_ATTEMPTS);
  });

  it.each([301, 302, 307, 400, 401, 403, 410])("gives up at %i", async (status) => {
    const headers = { location: "https://elsewhere.test/" };
    const { result, asked } = await open(
      "https://cdn.test/a.png",
      () => new Response(null, { status, headers }),
    );
    expect(result).toMatchObject({ failure: { reason: "undelivered" } });
    expect(asked).toHaveLength(1);
  });

  it("ends at its time limit, however slowly bytes arrive", async () => {
    vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
    const drip = () => {
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      const write = () => {
        writer.write(Uint8Array.of(1)).then(
          () => setTimeout(write, 400),
          () => null,
        );
      };
      write();
      return new Response(readable);
    };
    let done = false;
    const started = Date.now();
    const opened = open("https://cdn.test/a.png", drip).finally(() => {
      done = true;
    });
    while (!done) {
      await vi.advanceTimersByTimeAsync(400);
      await scheduler.wait(0);
    }
    expect((await opened).result).toMatchObject({ failure: { reason: "undelivered" } });
    expect(Date.now() - started).toBeGreaterThanOrEqual(PICTURE_MS_MAX);
    expect(Date.now() - started).toBeLessThan(PICTURE_MS_MAX + 5_000);
  });

  it("leaves no timer behind", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    await open("https://cdn.test/a.png", picture);
    expect(vi.getTimerCount()).toBe(0);
    await open("https://cdn.test/a.png", () => new Response(null, { status: 410 }));
    expect(vi.getTimerCount()).toBe(0);
  });
});
