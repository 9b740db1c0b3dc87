import { DurableObject } from "cloudflare:workers";
import { migrate } from "../../src/account/schema.ts";
import { models } from "../../src/catalogue/models.ts";

/**
 * The floor that the service is compared with: the same storage operations for each request, the same rows, and nothing
 * else. No validation, no rules, no time limits, no retries, no recovery and no log line, except in one route that
 * shows the cost of a line. Nobody could run it in production; it is about the fastest Worker that the platform allows
 * for this work. It trusts every request.
 */

type FloorEnv = Omit<Env, "ACCOUNT" | "GENERATION_RUNNER"> & {
  ACCOUNT: DurableObjectNamespace<Account>;
  GENERATION_RUNNER: DurableObjectNamespace<GenerationRunner>;
  OPENAI_BASE_URL: string;
  OPENAI_API_KEY: string;
};

type Order = { id: string; isAsync: boolean; request: string };
type Line = { seq: number; balanceAfter: number };
type Image = { id: string; key: string; contentType: string; width: number; height: number; bytes: number };

const PRICE = 8;
const CALLER_SQL = `SELECT api_keys.id, user_id, account_type, expires_at, revoked_at
  FROM api_keys JOIN users ON users.id = user_id WHERE hash = ?`;

export default {
  async fetch(request: Request, env: FloorEnv): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === "/api/v1/models") return Response.json({ object: "list", data: models });
    if (pathname === "/logged/models") {
      console.log(
        JSON.stringify({ event: "request", method: request.method, route: pathname, status: 200, ms: 0 }),
      );
      return Response.json({ object: "list", data: models });
    }
    if (pathname === "/rows") return await writeRows(request, env);
    const hash = await hashOf(request.headers.get("Authorization") ?? "");
    const caller = await env.DB.prepare(CALLER_SQL).bind(hash).first<{ user_id: string }>();
    if (caller === null) return new Response(null, { status: 401 });
    const account = env.ACCOUNT.getByName(caller.user_id);
    if (pathname === "/api/v1/credits") return Response.json(await account.balance());
    if (pathname.startsWith("/api/v1/generations/")) return await readBack(account, pathname.slice(20));
    return await generate(request, env, caller.user_id);
  },
} satisfies ExportedHandler<FloorEnv>;

async function generate(request: Request, env: FloorEnv, userId: string): Promise<Response> {
  const order = await readOrder(request);
  const line = await env.ACCOUNT.getByName(userId).submit(userId, order);
  if (order.isAsync) return Response.json({ ...order, ...line }, { status: 202 });
  const runner = env.GENERATION_RUNNER.get(env.GENERATION_RUNNER.newUniqueId());
  return Response.json({ ...order, ...line, image: await runner.run(userId, order, line) });
}

/** A generation of the last day, which the account has. */
async function readBack(account: DurableObjectStub<Account>, id: string): Promise<Response> {
  const text = await account.read(id);
  return text === null ? new Response(null, { status: 404 }) : new Response(text);
}

/** Writes the rows of a submission, without a key look-up or a queue message. */
async function writeRows(request: Request, env: FloorEnv): Promise<Response> {
  const account = env.ACCOUNT.getByName(request.headers.get("X-User") ?? "");
  return Response.json(await account.accept(await readOrder(request)));
}

async function readOrder(request: Request): Promise<Order> {
  const text = await request.text();
  return { id: `gen_${crypto.randomUUID()}`, isAsync: text.includes('"async":true'), request: text };
}

async function hashOf(authorization: string): Promise<string> {
  const token = authorization.slice("Bearer ".length);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
  return Buffer.from(digest).toString("hex");
}

export class Account extends DurableObject<FloorEnv> {
  readonly #sql: SqlStorage;
  #armed = false;

  constructor(state: DurableObjectState, env: FloorEnv) {
    super(state, env);
    this.#sql = state.storage.sql;
    // The service's tables, so that both write the same rows.
    migrate(state.storage);
  }

  async submit(userId: string, order: Order): Promise<Line> {
    const line = this.accept(order);
    if (order.isAsync) await this.env.GENERATIONS.sendBatch([{ body: { userId, id: order.id } }]);
    return line;
  }

  accept({ id, isAsync, request }: Order): Line {
    return this.ctx.storage.transactionSync(() => {
      const now = Date.now();
      this.#sql.exec("UPDATE grants SET remaining = remaining - ? WHERE id = 'bench'", PRICE);
      const [line] = this.#sql.exec<Line>(
        `INSERT INTO entries (kind, credits, balance_after, generation_id, grant_id, created_at)
         SELECT 'charge', ?1, balance_after + ?1, ?2, 'bench', ?3 FROM entries ORDER BY seq DESC LIMIT 1
         RETURNING seq, balance_after AS balanceAfter`,
        ...[-PRICE, id, now],
      );
      if (line === undefined) throw new Error("The account has no credits.");
      this.#sql.exec(
        `INSERT INTO generations (id, status, mode, created_at, began_at, ended_at, deadline, due_at, leased, fence, calls,
           tries, charged, refunded, error, copied, cleared, swept, paid, images, request, idempotency_key, fingerprint,
           sdk_count, joined_by)
         VALUES (?, ?, ?, ?, ?, NULL, ?, ?, 0, 1, 1, 0, ?, 0, NULL, 0, 1, 1, ?, '[]', ?, NULL, NULL, NULL, NULL)`,
        ...[id, isAsync ? "queued" : "processing", isAsync ? "async" : "sync", now, now],
        ...[now + 800_000, now + 150_000, PRICE, JSON.stringify([{ grantId: "bench", credits: PRICE }])],
        request,
      );
      if (!this.#armed) this.ctx.waitUntil(this.ctx.storage.setAlarm(now + 150_000));
      this.#armed = true;
      return line;
    });
  }

  async finish(userId: string, order: Order, line: Line, image: Image): Promise<void> {
    const { id } = order;
    const now = Date.now();
    const images = JSON.stringify([image]);
    this.#sql.exec(
      "UPDATE generations SET status = 'succeeded', ended_at = ?, leased = 0, images = ? WHERE id = ?",
      ...[now, images, id],
    );
    await this.env.LOG.batch([
      this.env.LOG.prepare(
        `INSERT INTO generations VALUES (?, ?, 'succeeded', 'gpt-image-2', ?, ?, 8, 0, ?, NULL, ?, NULL)
         ON CONFLICT DO NOTHING`,
      ).bind(userId, id, now, now, order.request, images),
      this.env.LOG.prepare(
        "INSERT INTO credit_entries VALUES (?, ?, 'charge', -8, ?, ?, 'bench', ?) ON CONFLICT DO NOTHING",
      ).bind(userId, line.seq, line.balanceAfter, id, now),
    ]);
    this.ctx.storage.transactionSync(() => {
      this.#sql.exec("UPDATE told SET entries = ? WHERE entries < ?", line.seq, line.seq);
      this.#sql.exec("UPDATE generations SET copied = 1, due_at = NULL WHERE id = ?", id);
    });
  }

  read(id: string): string | null {
    const [row] = this.#sql.exec("SELECT * FROM generations WHERE id = ?", id);
    return row === undefined ? null : JSON.stringify(row);
  }

  balance(): { credits: number; nextExpiration: number | null } {
    const [last] = this.#sql.exec<{ credits: number }>(
      "SELECT balance_after AS credits FROM entries ORDER BY seq DESC LIMIT 1",
    );
    const [grant] = this.#sql.exec<{ expires_at: number }>(
      "SELECT expires_at FROM grants WHERE spent = 0 ORDER BY expires_at LIMIT 1",
    );
    return { credits: last?.credits ?? 0, nextExpiration: grant?.expires_at ?? null };
  }

  override alarm(): void {}
}

export class GenerationRunner extends DurableObject<FloorEnv> {
  async run(userId: string, order: Order, line: Line): Promise<Image> {
    const response = await fetch(`${this.env.OPENAI_BASE_URL}/images/generations`, {
      method: "POST",
      headers: { Authorization: `Bearer ${this.env.OPENAI_API_KEY}`, "Content-Type": "application/json" },
      body: order.request,
    });
    const answer = await response.json<{ data: [{ b64_json: string }] }>();
    // The runtime's JSON and base64: fast, with the whole image three times in memory.
    const bytes = Buffer.from(answer.data[0].b64_json, "base64");
    const id = `img_${crypto.randomUUID()}`;
    const key = `${order.id}/${id}.png`;
    await this.env.IMAGES.put(key, bytes, { httpMetadata: { contentType: "image/png" } });
    const image = { id, key, contentType: "image/png", width: 1024, height: 1024, bytes: bytes.length };
    await this.env.ACCOUNT.getByName(userId).finish(userId, order, line, image);
    return image;
  }
}

/** The floor asks no gate; wrangler.toml binds this class. */
export class ProviderGate extends DurableObject<FloorEnv> {}
