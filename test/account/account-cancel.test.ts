import { describe, expect, it } from "vitest";
import { newId } from "../../src/id.ts";
import { aCommand, aRequest, imagesOf } from "../support/account.ts";
import { alarmOf, holdTimeAndQueue, linesOf, newUserWith, nextAlarm, type Stub } from "./harness.ts";

holdTimeAndQueue();

/** What can happen to a queued generation, each once: two workers, a caller, and the alarm that queues it again. */
const EVENTS = ["begin", "begin again", "cancel", "cancel again", "alarm"] as const;
type Event = (typeof EVENTS)[number];

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) =>
    permutations([...items.slice(0, at), ...items.slice(at + 1)]).map((rest) => [item, ...rest]),
  );
}

async function queued() {
  const { account } = await newUserWith(100);
  const id = newId("gen");
  await account.submit(aCommand(id, "async", aRequest({ n: 2 }), 16));
  return { account, id };
}

async function perform(event: Event, account: Stub, id: string): Promise<string> {
  switch (event) {
    case "begin":
    case "begin again":
      return (await account.begin(id)).kind;
    case "cancel":
    case "cancel again":
      return (await account.cancel(id)).kind;
    case "alarm":
      await nextAlarm(account);
      return "alarm";
  }
}

const REFUNDED = ["grant 100", "charge -16", "refund 16"];

describe("of a cancel and a begin, exactly one wins", () => {
  it.each(permutations(EVENTS).map((order) => [order.join(", "), order] as const))("%s", async (_, order) => {
    const { account, id } = await queued();
    const outcomes: string[] = [];
    for (const event of order) outcomes.push(await perform(event, account, id));
    const isCanceled =
      order.findIndex((event) => event.startsWith("cancel")) <
      order.findIndex((event) => event.startsWith("begin"));
    const runs = outcomes.filter((kind) => kind === "run").length;
    const cancels = outcomes.filter((kind) => kind === "canceled").length;
    expect({ runs: Math.min(runs, 1), cancels }).toEqual(
      isCanceled ? { runs: 0, cancels: 2 } : { runs: 1, cancels: 0 },
    );
    if (!isCanceled) {
      expect(await account.finish(id, 1, { images: imagesOf(id, 2), failure: null })).toMatchObject({
        generation: { status: "succeeded" },
      });
    }
    expect(await linesOf(account)).toEqual(isCanceled ? REFUNDED : ["grant 100", "charge -16"]);
  });

  it.each(["cancel first", "begin first"])("at the same moment: %s", async (first) => {
    const { account, id } = await queued();
    const calls = [() => account.cancel(id), () => account.begin(id)];
    if (first === "begin first") calls.reverse();
    const kinds = (await Promise.all(calls.map((call) => call()))).map(({ kind }) => kind);
    expect(kinds).toEqual(first === "begin first" ? ["run", "refused"] : ["canceled", "finished"]);
  });
});

describe("a canceled generation", () => {
  it("takes no result of a worker that comes late", async () => {
    const { account, id } = await queued();
    await account.begin(id);
    await account.defer(id, 1, null, 1);
    await account.cancel(id);
    const late = await account.finish(id, 1, { images: imagesOf(id, 2), failure: null });
    expect(late).toMatchObject({ kind: "settled", generation: { status: "canceled", images: [] } });
    expect(await account.renew(id, 1, 1)).toBe("lost");
    expect(await account.takeOver(id, 1)).toEqual({ kind: "finished" });
    expect(await linesOf(account)).toEqual(REFUNDED);
  });

  it("answers those who wait for it", async () => {
    const { account, id } = await queued();
    const waiting = account.wait(id, 60_000);
    await account.cancel(id);
    expect(await waiting).toMatchObject({ generation: { status: "canceled" }, balance: { credits: 100 } });
  });

  it("leaves nothing to do but to forget it after a day", async () => {
    const { account, id } = await queued();
    await account.cancel(id);
    for (let alarms = 0; (await alarmOf(account)) !== null; alarms++) {
      expect(alarms).toBeLessThan(5);
      await nextAlarm(account);
    }
    expect(await account.generation(id)).toBeNull();
  });

  it("is unknown to another account", async () => {
    const { id } = await queued();
    const { account } = await newUserWith(8);
    expect(await account.cancel(id)).toEqual({ kind: "unknown" });
  });
});
