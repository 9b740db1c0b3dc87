import { env, runInDurableObject } from "cloudflare:test";
import type { Account } from "../../src/account/account.ts";
import type { GenerationRequest, SubmitCommand } from "../../src/account/lifecycle.ts";
import { newId } from "../../src/id.ts";
import type { StoredImage } from "../../src/images/stored.ts";

/** A user of this test alone, and its account. */
export function newUser(): { userId: string; account: DurableObjectStub<Account> } {
  const userId = newId("user");
  return { userId, account: env.ACCOUNT.getByName(userId) };
}

/** A request for one 1K image without references, with a test's changes. */
export function aRequest(overrides: Partial<GenerationRequest> = {}): GenerationRequest {
  return {
    model: "gpt-image-2",
    providerModel: "gpt-image-2",
    prompt: "A lighthouse at dusk",
    aspectRatio: "1:1",
    tier: "1K",
    size: { width: 1024, height: 1024 },
    renderQuality: "auto",
    n: 1,
    outputFormat: "png",
    outputCompression: null,
    background: "auto",
    moderation: "auto",
    endUser: null,
    references: [],
    origin: "https://hub.example",
    ...overrides,
  };
}

/** The result of a run with that many stored images: `img_<from>`, and so on. */
export function imagesOf(generationId: string, count: number, from = 1): StoredImage[] {
  return Array.from({ length: count }, (_, position) => {
    const id = `img_${from + position}`;
    return {
      id,
      key: `${generationId}/${id}.png`,
      contentType: "image/png",
      width: 1024,
      height: 1024,
      bytes: 3,
      createdAt: 1_000 + position,
    };
  });
}

/** A command without an idempotency key. */
export function aCommand(
  id: string,
  mode: SubmitCommand["mode"],
  request: GenerationRequest,
  credits: number,
): SubmitCommand {
  return { id, mode, request, credits, idempotency: null };
}

/**
 * Loses the alarm of an account, or moves it to another time, and evicts the account: nothing remembers the alarm.
 * @returns a new stub: the one before stays broken
 */
export async function loseAlarm(
  account: DurableObjectStub<Account>,
  until?: number,
): Promise<DurableObjectStub<Account>> {
  await runInDurableObject(account, async (_, { storage }) => {
    await (until === undefined ? storage.deleteAlarm() : storage.setAlarm(until));
    await storage.sync();
  });
  await runInDurableObject(account, (_, state) => state.abort("evicted")).catch(() => null);
  return env.ACCOUNT.get(account.id);
}
