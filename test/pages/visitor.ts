import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { users } from "../../src/db/schema.ts";
import worker from "../../src/index.ts";

export const SITE = "https://hub.test";
export const PASSWORD = "correct horse battery staple";

type Fetch = (request: Request) => Promise<Response> | Response;

/** A minimal browser: keeps cookies and sends the Origin of forms. It follows no redirects. */
export class Visitor {
  readonly #cookies = new Map<string, string>();
  readonly #fetch: Fetch;
  headers: Record<string, string> = { accept: "text/html" };

  constructor(fetch: Fetch = (request) => exports.default.fetch(request)) {
    this.#fetch = fetch;
  }

  get cookies(): ReadonlyMap<string, string> {
    return this.#cookies;
  }

  forgetSession() {
    this.#cookies.clear();
  }

  async get(path: string): Promise<Response> {
    return await this.#send(new Request(`${SITE}${path}`, { headers: this.#headers() }));
  }

  async post(path: string, fields: Record<string, string> = {}, origin: string | null = SITE) {
    const headers = new Headers(this.#headers());
    if (origin !== null) headers.set("origin", origin);
    const body = new URLSearchParams(fields);
    return await this.#send(new Request(`${SITE}${path}`, { method: "POST", headers, body }));
  }

  async upload(path: string, body: BodyInit | null, origin = SITE) {
    const headers = new Headers(this.#headers());
    headers.set("origin", origin);
    return await this.#send(new Request(`${SITE}${path}`, { method: "POST", headers, body }));
  }

  async signUp(email = newEmail()) {
    await this.post("/sign-up", { email, password: PASSWORD });
    return email;
  }

  #headers() {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    return cookie === "" ? this.headers : { ...this.headers, cookie };
  }

  async #send(request: Request): Promise<Response> {
    const response = await this.#fetch(new Request(request, { redirect: "manual" }));
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /max-age=0/i.test(line)) this.#cookies.delete(name);
      else this.#cookies.set(name, value);
    }
    return response;
  }
}

let address = 0;

/** A visitor with an IP address of its own, so that rate limits count it separately, and with these settings. */
export function visit(settings: Record<string, string> = {}) {
  const visitor = new Visitor(async (request) => {
    const context = createExecutionContext();
    const response = await worker.fetch(request, { ...env, ...settings }, context);
    await waitOnExecutionContext(context);
    return response;
  });
  visitor.headers = { ...visitor.headers, "cf-connecting-ip": `192.0.2.${++address}` };
  return visitor;
}

/** The heading of a page. */
export async function titleOf(response: Response): Promise<string | undefined> {
  return /<h1[^>]*>(.*?)<\/h1>/.exec(await response.text())?.[1];
}

let made = 0;

export function newEmail(): string {
  return `visitor${Date.now()}${made++}@example.com`;
}

export async function findUser(email: string) {
  const rows = await drizzle(env.DB).select().from(users);
  return rows.find((user) => user.email === email);
}
