import { renderGeneration } from "../../account/render.ts";
import { listPasskeys } from "../../auth/passkeys.ts";
import { listPurchases } from "../../billing/purchases.ts";
import { readConfig } from "../../config.ts";
import { listDetails } from "../../generations/read.ts";
import { renderKey } from "../../http/admin/keys.ts";
import { renderPurchase } from "../../http/admin/purchases.ts";
import { renderEntries, renderGrant } from "../../http/v1/credits.ts";
import { listKeys } from "../../keys/manage.ts";
import { findUser } from "../../users/users.ts";

const ROWS_A_PAGE = 100;

/**
 * All data of a user, as objects of the API: one JSON line each, read page by page while the
 * download runs, so that no more than a page is in memory.
 */
export function dataOf(env: Env, userId: string, now: number): ReadableStream<Uint8Array> {
  const lines = objectsOf(env, userId, now);
  const encoder = new TextEncoder();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await lines.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
    async cancel() {
      await lines.return(undefined);
    },
  });
}

async function* objectsOf(env: Env, userId: string, now: number): AsyncGenerator<object, void> {
  const user = await findUser(env.DB, userId);
  if (user === null) return;
  const { id, email, name, accountType, language, createdAt } = user;
  const times = { created_at: createdAt.toISOString() };
  yield { object: "user", id, email, name, account_type: accountType, language, ...times };
  for (const { id: passkeyId, name: passkeyName, createdAt: addedAt } of await listPasskeys(env.DB, userId))
    yield {
      object: "passkey",
      id: passkeyId,
      name: passkeyName,
      created_at: new Date(addedAt).toISOString(),
    };
  yield* keysOf(env, userId, now);
  for (const purchase of await listPurchases(env.DB, userId)) yield renderPurchase(purchase);
  yield* ledgerOf(env, userId);
  for (const livemode of [true, false]) yield* generationsOf(env, userId, livemode);
}

/** Without their secrets, which are not stored. */
async function* keysOf(env: Env, userId: string, now: number): AsyncGenerator<object, void> {
  for (let cursor: string | null = null, isOver = false; !isOver; ) {
    const page = await listKeys(env.DB, userId, { limit: ROWS_A_PAGE, cursor, now });
    yield* page.keys.map(renderKey);
    cursor = page.next;
    isOver = cursor === null;
  }
}

async function* ledgerOf(env: Env, userId: string): AsyncGenerator<object, void> {
  const account = env.ACCOUNT.getByName(userId);
  for (let after: string | null = null, isOver = false; !isOver; ) {
    const page = await account.grants(after, ROWS_A_PAGE);
    yield* (page?.grants ?? []).map(renderGrant);
    after = page?.grants.at(-1)?.id ?? null;
    isOver = page?.hasMore !== true;
  }
  for (let before = Number.MAX_SAFE_INTEGER, isOver = false; !isOver; ) {
    const { entries, hasMore } = await account.statement(before, ROWS_A_PAGE);
    yield* renderEntries(entries, hasMore).data;
    before = entries.at(-1)?.seq ?? 0;
    isOver = !hasMore;
  }
}

/** With their prompts, and the URLs of their images. */
async function* generationsOf(env: Env, userId: string, livemode: boolean): AsyncGenerator<object, void> {
  const config = readConfig(env);
  const filter = { livemode, status: null, model: null, createdAfter: null, createdBefore: null };
  for (let before: string | null = null, isOver = false; !isOver; ) {
    const { generations, next } = await listDetails(userId, filter, before, ROWS_A_PAGE, env);
    for (const detail of generations)
      yield { ...renderGeneration(detail, config), prompt: detail.request.prompt };
    before = next;
    isOver = next === null;
  }
}
