import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/config.ts";
import { repetitionOf, type SdkHeaders } from "../../src/generations/fingerprint.ts";
import { GenerationInput } from "../../src/generations/input.ts";
import { type AskedRequest, readRequest } from "../../src/generations/request.ts";
import { FORM_NAMES } from "../../src/references/entries.ts";

async function requestOf(fields: object, changes: Partial<AskedRequest> = {}): Promise<AskedRequest> {
  const asked = { model: "gpt-image-2", prompt: "a lighthouse", size: "1024x1024", n: 1, ...fields };
  const context = {
    userId: "u",
    key: null,
    references: [],
    names: FORM_NAMES,
    origin: "https://hub.example",
    test: null,
  };
  const priced = await readRequest(
    GenerationInput.parse(asked),
    context,
    readConfig({ IMAGE_PROVIDER: "sketch" }),
  );
  if (priced.kind !== "priced") throw new Error(JSON.stringify(priced));
  return { ...priced.request, ...changes };
}

async function fingerprintsOf(
  request: AskedRequest,
  key: string | null,
  sdk: SdkHeaders | null,
  sources: readonly string[] = [],
) {
  const { idempotency, sdkCall, versionedFingerprint } = await repetitionOf(key, sdk, request, sources);
  return [versionedFingerprint, idempotency?.fingerprint ?? sdkCall?.fingerprint];
}

const sources = ["ab".repeat(32)];

describe("the fingerprint of a request", () => {
  // Accounts keep these values for a day. If a release changes one, every request repeated across it gets a 422.
  it.each<[string, object, Partial<AskedRequest>, string[], string | null, SdkHeaders | null, string[]]>([
    [
      "with a key",
      {},
      {},
      [],
      "k",
      null,
      [
        "v1:9be18a05a0e7d3d65271f13e4bb1cd3bf96d78bcc82b4755f8d23ab5d5c002c3",
        "eb9c0402fac5e1ca1e2aa99d6997b4f5d873ee3b358c2c94ddcbd8b90b7e1845",
      ],
    ],
    [
      "with everything",
      {
        ...{ prompt: "Çay ☕", size: "auto", quality: "high", resolution: "1K", n: 3 },
        ...{ background: "opaque", moderation: "low" },
      },
      { endUser: "cd".repeat(32) },
      sources,
      "k",
      null,
      [
        "v1:99e33330dd102987ad72bdc491099f4cdee9a3562d3ad7c1693127129c8270ed",
        "5354fa1b33a759c007e10babef325cbeb49946eb93bddc497c5118245b0b9a79",
      ],
    ],
    [
      "of an SDK",
      {},
      {},
      [],
      null,
      { keyId: "key_1", count: 1, bodyBytes: null },
      [
        "v1:ba9a7db8000b41d1c46b6c2b2b2dda81fa45e526c11a306a1173b1b936ed40ab",
        "81d9ad0bc5c4a3fec2c760e2489126db3ea8867998906069ebc2681bc1d5ea36",
      ],
    ],
  ])("%s is what it was in the release before", async (_, fields, changes, named, key, sdk, expected) => {
    expect(await fingerprintsOf(await requestOf(fields, changes), key, sdk, named)).toEqual(expected);
  });

  it("does not depend on the provider's model, the host or the price", async () => {
    const prices = { "1K": 80, "2K": 100, "4K": 120 };
    const changes = { providerModel: "another", origin: "https://other.example", prices };
    const [before] = await fingerprintsOf(await requestOf({}), "k", null);
    expect((await fingerprintsOf(await requestOf({}, changes), "k", null))[0]).toBe(before);
    expect((await fingerprintsOf(await requestOf({ n: 2 }), "k", null))[0]).not.toBe(before);
  });

  it("depends on the webhook's URL", async () => {
    const urls = [{}, { webhook_url: "https://a.example/" }, { webhook_url: "https://b.example/" }];
    const fingerprints = await Promise.all(
      urls.map(async (fields) => (await fingerprintsOf(await requestOf(fields), "k", null))[0]),
    );
    expect(new Set(fingerprints).size).toBe(3);
  });

  it("depends on metadata, in any order, and on max_credits", async () => {
    const requests = [
      ...[{}, { max_credits: 8 }, { max_credits: 9 }, { metadata: { a: "1", b: "2" } }],
      ...[{ metadata: { a: "1" } }, { metadata: { b: "2", a: "1" } }, { metadata: {} }],
    ];
    const fingerprints = await Promise.all(
      requests.map(async (fields) => (await fingerprintsOf(await requestOf(fields), "k", null))[0]),
    );
    expect(new Set(fingerprints).size).toBe(5);
    expect([fingerprints[5], fingerprints[6]]).toEqual([fingerprints[3], fingerprints[0]]);
  });
});
