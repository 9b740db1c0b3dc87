import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, inject, it, vi } from "vitest";
import { StorageError } from "../../src/images/upload.ts";
import { FETCH_LIMITS, type FetchLimits, fetchReference } from "../../src/references/fetch.ts";
import { png, watched } from "../images/samples.ts";
import { spyOnLog } from "../support/log.ts";

const server = inject("pictureServer");
const LIMITS: FetchLimits = { bytesMax: 1_000_000, redirectsMax: 3, durationMsMax: 1_000 };
let keys = 0;

beforeEach(() => {
  spyOnLog();
});

afterEach(() => vi.restoreAllMocks());

/** Fetches from the double, and looks at what storage then holds. */
async function fetched(path: string, limits: Partial<FetchLimits> = {}, allowInsecure = true) {
  const key = `fetched/${keys++}`;
  const { bucket, unfinished } = watched(env.REFERENCES);
  const url = path.startsWith("/") ? `${server}${path}` : path;
  const outcome = await fetchReference(bucket, key, url, allowInsecure, { ...LIMITS, ...limits });
  const object = await env.REFERENCES.get(key);
  return {
    outcome,
    stored: object && new Uint8Array(await object.arrayBuffer()),
    unfinished: unfinished.size,
  };
}

async function callsOf(part: string): Promise<number> {
  const calls: string[] = await (await fetch(`${server}/_calls`)).json();
  return calls.filter((call) => call.includes(part)).length;
}

describe("fetchReference", () => {
  it("has the limits of the contract", () => {
    expect(FETCH_LIMITS).toEqual({ bytesMax: 50 * 1024 * 1024, redirectsMax: 3, durationMsMax: 30_000 });
  });

  it.each(["/picture/8", "/chunked", "/gzip", "/redirect/1", "/redirect/2", "/redirect/3"])(
    "stores what comes from %s, as its bytes tell",
    async (path) => {
      const { outcome, stored } = await fetched(path);
      const picture = png(8, 8);
      expect(outcome).toMatchObject({
        kind: "stored",
        reference: {
          ...{ contentType: "image/png", width: 8, height: 8, bytes: picture.length },
          sha256: createHash("sha256").update(picture).digest("hex"),
        },
      });
      expect(stored).toEqual(picture);
    },
  );

  it.each<[path: string, reason: string | RegExp]>([
    ["/redirect/4", "could not be fetched: it redirects more than 3 times"],
    ["/loop", "could not be fetched: it redirects more than 3 times"],
    ["/nowhere", "could not be fetched: the server answered 302"],
    ["/status/404", "could not be fetched: the server answered 404"],
    ["/status/500", "could not be fetched: the server answered 500"],
    ["/status/204", "could not be fetched: the server answered 204"],
    ["/status/206", "could not be fetched: the server answered 206"],
    ["/status/304", "could not be fetched: the server answered 304"],
    ["/status/401", "could not be fetched: the server answered 401"],
    ["/html", "is not a PNG, JPEG or WebP image"],
    ["/empty", "is not a PNG, JPEG or WebP image"],
    ["/cut", "is cut off or damaged: it is not a whole PNG, JPEG or WebP image"],
    ["/truncated", /^could not be fetched: the connection failed$|^is cut off or damaged/],
    ["/reset", "could not be fetched: the connection failed"],
    ["/silent", "could not be fetched: it did not come within 1 seconds"],
    ["/stalled", "could not be fetched: it did not come within 1 seconds"],
    ["/drip", "could not be fetched: it did not come within 1 seconds"],
    ["/lie/500000", "could not be fetched: it did not come within 1 seconds"],
    ["/lie/1000001", /^is larger than/],
    ["/endless", /^is larger than/],
    ["/bomb/1000001", /^is larger than/],
    ["http://127.0.0.1:1/", "could not be fetched: the connection failed"],
    ["https://no-such-host.example/", "could not be fetched: the connection failed"],
  ])("refuses %s, in bounded time and with nothing left in storage", async (path, reason) => {
    const started = Date.now();
    const { outcome, stored, unfinished } = await fetched(path);
    expect(outcome).toEqual({
      kind: "refused",
      reason: typeof reason === "string" ? reason : expect.stringMatching(reason),
    });
    expect([stored, unfinished]).toEqual([null, 0]);
    expect(Date.now() - started).toBeLessThan(4_000);
  });

  it.each([
    ...["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:127.0.0.1]/"],
    ...[
      "http://metadata.google.internal/",
      "file:///etc/passwd",
      "http://user@localhost/",
      "http://[",
      "data:,a",
    ],
  ])("does not follow a redirect to %s", async (target) => {
    const { outcome, stored } = await fetched(`/to/?url=${encodeURIComponent(target)}`);
    expect(outcome).toEqual({
      kind: "refused",
      reason: expect.stringMatching(/^could not be fetched: it redirects to a URL that must /),
    });
    expect(stored).toBeNull();
  });

  it("does not follow a redirect to a URL that is too long", async () => {
    expect(await fetched("/far/2029")).toMatchObject({
      outcome: {
        reason: "could not be fetched: it redirects to a URL that must be at most 2048 characters long",
      },
    });
  });

  it("calls nothing that the address rules refuse, and no loopback host outside of development", async () => {
    const path = `/picture/8?mark=${crypto.randomUUID()}`;
    expect(await fetched(path, {}, false)).toMatchObject({
      outcome: { kind: "refused", reason: "must be an https URL" },
    });
    expect(await callsOf(path)).toBe(0);
    expect(await fetched("https://127.0.0.1/", {}, false)).toMatchObject({
      outcome: { reason: "must not name a private, local or reserved IP address" },
    });
  });

  it.each([
    ["declared", (bytes: number) => `/picture/8?bytes=${bytes}`],
    ["undeclared", (bytes: number) => `/chunked-bytes/${bytes}`],
    ["unpacked", (bytes: number) => `/bomb/${bytes}`],
  ])("takes an image of just the limit, and not one byte more, when its length is %s", async (_, path) => {
    const bytesMax = 7 * 1024 * 1024;
    const longer = { bytesMax, durationMsMax: 20_000 };
    expect(await fetched(path(bytesMax), longer)).toMatchObject({
      outcome: { kind: "stored", reference: { bytes: bytesMax } },
    });
    expect(await fetched(path(bytesMax + 1), longer)).toEqual({
      outcome: { kind: "refused", reason: "is larger than 7 MB" },
      stored: null,
      unfinished: 0,
    });
  });

  it("sends no cookie, key or address of ours", async () => {
    const spy = vi.spyOn(globalThis, "fetch");
    await fetched("/headers");
    const [, init] = spy.mock.calls[0] ?? [];
    expect([...new Headers(init?.headers).keys()]).toEqual(["accept", "user-agent"]);
    expect(init?.redirect).toBe("manual");
  });

  it("fails by storage only where storage fails, and then reads no further", async () => {
    const { bucket } = watched(env.REFERENCES, "put");
    const done = fetchReference(bucket, "fetched/failing", `${server}/picture/8`, true, LIMITS);
    await expect(done).rejects.toThrow(StorageError);
  });
});
