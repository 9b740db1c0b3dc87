import { env, exports } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { users } from "../../src/db/schema.ts";

export const SITE = "https://hub.test";
export const PASSWORD = "correct horse battery staple";

type Fetch = (request: Request) => Promise<Response> | Response;

/** A browser without a screen: keeps its cookies, sends forms with their origin, follows nothing by itself. */
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

let made = 0;

export function newEmail(): string {
  return `visitor${Date.now()}${made++}@example.com`;
}

export async function findUser(email: string) {
  const rows = await drizzle(env.DB).select().from(users);
  return rows.find((user) => user.email === email);
}
