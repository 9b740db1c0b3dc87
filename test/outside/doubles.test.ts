import { afterAll, expect, it } from "vitest";
import { startDouble as startBfl } from "../support/bfl-double/index.ts";
import { startDouble as startFal } from "../support/fal-double/index.ts";

const bfl = await startBfl({ latencyMs: 1 });
const fal = await startFal({ latencyMs: 1 });

afterAll(() => Promise.all([bfl.close(), fal.close()]));

it.each([
  ["Black Forest Labs", bfl, { "x-key": "bfl-test" }, "/v1/flux-2-pro"],
  ["fal", fal, { authorization: "Key fal:test" }, "/fal-ai/flux-2-pro"],
] as const)(
  "the double of %s counts its tasks, and takes a fault for all of them",
  async (_, double, headers, path) => {
    const submit = async () => {
      const body = JSON.stringify({ prompt: "a lighthouse" });
      return (await fetch(double.url + path, { method: "POST", headers, body })).status;
    };
    expect(await submit()).toBe(200);
    double.setFault("503");
    expect(await submit()).toBe(503);
    double.setFault(null);
    await fetch(`${double.url}/_fault`, { method: "PUT", body: '{"fault":"429"}' });
    expect(await submit()).toBe(429);
    await fetch(`${double.url}/_fault`, { method: "PUT", body: '{"fault":null}' });
    expect(await submit()).toBe(200);
    await expect.poll(() => double.submissions.map(({ status }) => status)).toEqual([200, 503, 429, 200]);
    await fetch(`${double.url}/_calls`, { method: "DELETE" });
    expect(double.submissions).toEqual([]);
  },
);
