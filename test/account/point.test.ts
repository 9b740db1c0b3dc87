import { afterEach, expect, it, vi } from "vitest";
import { newId } from "../../src/id.ts";
import * as metrics from "../../src/metrics.ts";
import { aCommand, aRequest } from "../support/account.ts";
import {
  FAILED,
  HOUR,
  holdTimeAndQueue,
  newRun,
  newUserWith,
  pass,
  passWithAlarms,
  SECOND,
} from "./harness.ts";

holdTimeAndQueue();

afterEach(() => {
  vi.restoreAllMocks();
});

const latest = () => metrics.recentPoints(200).filter(({ kind }) => kind === "generation");

it("a generation that ends writes one point, with who served it", async () => {
  const { account, id, all } = await newRun();
  const [last] = latest();
  pass(9 * SECOND);
  const served = { provider: "openai", providerMs: 8_000, gateMs: 500 };
  await account.finish(id, 1, all, served);
  await account.finish(id, 1, all, served);
  const [point, before] = latest();
  expect(before).toEqual(last);
  const { labels, values } = point ?? {};
  expect(labels).toEqual({
    ...{ status: "succeeded", model: "gpt-image-2", provider: "openai", error: "", mode: "sync" },
    livemode: "true",
  });
  expect(values).toEqual({
    ...{ charged: 16, refunded: 0, images: 2, queued_ms: 0, run_ms: 9_000, provider_ms: 8_000, gate_ms: 500 },
    ...{ provider_calls: 1, interrupted: 0 },
  });
});

it("a failed one has its error, by a run of the release before too", async () => {
  const { account, id } = await newRun();
  await account.finish(id, 1, FAILED);
  expect(latest()[0]).toMatchObject({
    labels: { status: "failed", error: "generationFailed", provider: "" },
    values: { charged: 16, refunded: 16, images: 0, provider_ms: 0 },
  });
});

it("one that never began, and one that is canceled, are measured too", async () => {
  const { account } = await newUserWith(100);
  await account.submit(aCommand(newId("gen"), "async", aRequest(), 8));
  await passWithAlarms(account, HOUR);
  expect(latest()[0]).toMatchObject({
    labels: { status: "failed", mode: "async" },
    values: { refunded: 8, queued_ms: HOUR, run_ms: 0, provider_calls: 0 },
  });
  const id = newId("gen");
  await account.submit(aCommand(id, "async", aRequest(), 8));
  pass(SECOND);
  await account.cancel(id);
  expect(latest()[0]).toMatchObject({ labels: { status: "canceled" }, values: { queued_ms: SECOND } });
});
