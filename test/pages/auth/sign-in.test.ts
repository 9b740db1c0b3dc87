import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, describe, expect, it, vi } from "vitest";
import { SESSIONS_LISTED, WRONG_MS } from "../../../src/auth/sessions.ts";
import { sessions } from "../../../src/db/schema.ts";
import worker from "../../../src/index.ts";
import {
  SIGN_INS_FAST_MAX,
  SIGN_INS_PER_EMAIL_MAX,
  SIGN_INS_PER_NETWORK_MAX,
  signInDelayMs,
} from "../../../src/pages/auth/attempts.ts";
import { spyOnLog } from "../../support/log.ts";
import { findUser, newEmail, PASSWORD, SITE, titleOf, type Visitor, visit } from "../visitor.ts";

/** Where the buttons of a settings page lead that end one session. */
const endPaths = (page: string) =>
  [...page.matchAll(/action="(\/account\/settings\/sessions\/[0-9a-f-]{36}\/end)"/g)].map(([, path]) => path);

describe("sign-in", () => {
  it("returns to the page that required it, and to no other site", async () => {
    const visitor = visit();
    const email = await visitor.signUp();
    visitor.forgetSession();
    const turnedAway = await visitor.get("/account/credits?before=7");
    const signIn = turnedAway.headers.get("location") ?? "";
    expect(signIn).toBe("/sign-in?next=%2Faccount%2Fcredits%3Fbefore%3D7");
    expect(await (await visitor.get(signIn)).text()).toContain('value="/account/credits?before=7"');
    const back = await visitor.post("/sign-in", {
      email,
      password: PASSWORD,
      next: "/account/credits?before=7",
    });
    expect(back.headers.get("location")).toBe("/account/credits?before=7");
    for (const next of [
      "https://evil.test/",
      "//evil.test",
      "/\\evil.test",
      "/account/../../evil",
      "/account//evil.test",
      "/account\r\nSet-Cookie: a=b",
      "/accounts",
      "javascript:x",
    ]) {
      const response = await visit().post("/sign-in", { email, password: PASSWORD, next });
      expect(response.headers.get("location")).toBe("/account");
    }
  });

  it("sets a new cookie that scripts and other sites cannot read, even if the browser sent one", async () => {
    const email = await visit().signUp();
    const visitor = visit();
    visitor.headers = {
      ...visitor.headers,
      cookie: "__Secure-gih.session_token=chosen-by-another.signature",
    };
    const response = await visitor.post("/sign-in", { email, password: PASSWORD });
    const [cookie = "", ...others] = response.headers.getSetCookie();
    expect(others).toEqual([]);
    const [pair, ...attributes] = cookie.split("; ");
    expect(pair).toMatch(/^__Secure-gih\.session_token=\w{32}\./);
    expect(attributes.toSorted()).toEqual([
      "HttpOnly",
      "Max-Age=2592000",
      "Path=/",
      "SameSite=Lax",
      "Secure",
    ]);
    expect(response.headers.get("cache-control")).toBe("private, no-store");
  });

  it.each(["a@example.com\r\nBcc: b@example.com", "a\n@example.com", "a@b@example.com", "a@example"])(
    "rejects the email %j at the field, on every form",
    async (email) => {
      for (const path of ["/sign-in", "/sign-up", "/forgot-password"]) {
        const response = await visit({ MAIL_API_KEY: "key", MAIL_FROM: "hub@hub.test" }).post(path, {
          email,
          password: PASSWORD,
        });
        expect([path, response.status]).toEqual([path, 422]);
        expect(await response.text()).toContain('id="email-error"');
      }
    },
  );

  it("gives a wrong password and an unknown email the same answer, equally slowly", async () => {
    const email = await visit().signUp();
    const pages = [];
    const times = [];
    for (const [tried, password] of [
      [email, "not the password"],
      [newEmail(), "not the password"],
    ] as const) {
      const began = performance.now();
      const response = await visit().post("/sign-in", { email: tried, password });
      times.push(performance.now() - began);
      pages.push([response.status, (await response.text()).replaceAll(tried, "")]);
    }
    expect(pages[0]).toEqual(pages[1]);
    const [known = 0, unknown = 0] = times;
    expect(Math.min(known, unknown)).toBeGreaterThan(WRONG_MS * 0.95);
  });

  it("is limited for one email from one network, so that nobody can lock its owner out", async () => {
    const email = await visit().signUp();
    const guesser = visit();
    const statuses = [];
    for (let count = 0; count <= SIGN_INS_PER_EMAIL_MAX; count++) {
      statuses.push((await guesser.post("/sign-in", { email, password: "not the password" })).status);
    }
    expect(statuses.slice(-2)).toEqual([422, 429]);
    const refused = await guesser.post("/sign-in", { email, password: PASSWORD });
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
    const page = await refused.text();
    expect(page).toMatch(/Too many attempts\. Try again in (10|9) minutes\./);
    expect(page).toContain(`value="${email}"`);
    expect(page).toContain('action="/sign-in"');
    expect(page).not.toContain(PASSWORD);
    expect((await visit().post("/sign-in", { email, password: PASSWORD })).status).toBe(303);
  });

  it("is limited for one network, counting IPv6 by /64", async () => {
    const visitor = visit();
    visitor.headers = { ...visitor.headers, "cf-connecting-ip": "2001:db8:1:2::1" };
    expect((await visitor.post("/sign-in", { email: newEmail(), password: "wrong" })).status).toBe(422);
    await env.DB.prepare("UPDATE attempts SET count = ? WHERE key = 'in:2001:db8:1:2::/64'")
      .bind(SIGN_INS_PER_NETWORK_MAX - 1)
      .run();
    const tried = [];
    for (let count = 0; count < 2; count++) {
      visitor.headers = { ...visitor.headers, "cf-connecting-ip": `2001:db8:1:2:${count}::1` };
      tried.push((await visitor.post("/sign-in", { email: newEmail(), password: "wrong" })).status);
    }
    expect(tried).toEqual([422, 429]);
  });

  it.each([
    [0, 0],
    [SIGN_INS_FAST_MAX, 0],
    [SIGN_INS_FAST_MAX + 1, 500],
    [SIGN_INS_FAST_MAX + 2, 1_000],
    [SIGN_INS_FAST_MAX + 20, 10_000],
    [SIGN_INS_FAST_MAX + 21, 10_000],
    [1_000_000, 10_000],
  ])("attempt %i for one account is delayed by %i ms", (count, milliseconds) => {
    expect(signInDelayMs(count)).toBe(milliseconds);
  });

  it("is slower, but works, for an account that others try to enter", async () => {
    const email = await visit().signUp();
    for (let count = 0; count <= SIGN_INS_FAST_MAX; count++) {
      await visit().post("/sign-in", { email, password: "not the password" });
    }
    const began = performance.now();
    expect((await visit().post("/sign-in", { email, password: PASSWORD })).status).toBe(303);
    expect(performance.now() - began).toBeGreaterThan(signInDelayMs(SIGN_INS_FAST_MAX + 2) * 0.95);
  });

  it.each([null, "https://evil.test", "null"])("rejects a form from the origin %s", async (origin) => {
    const email = await visit().signUp();
    const response = await visit().post("/sign-in", { email, password: PASSWORD }, origin);
    expect(response.status).toBe(403);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it("is a 503 without AUTH_SECRET, while public pages and the API work", async () => {
    const visitor = visit({ AUTH_SECRET: "too short" });
    expect((await visitor.post("/sign-in", { email: newEmail(), password: PASSWORD })).status).toBe(503);
    expect((await visitor.get("/account")).status).toBe(503);
    expect((await visitor.get("/")).status).toBe(200);
    expect((await visitor.get("/api/v1/models")).status).toBe(200);
  });

  it("offers GitHub and Google only when they are configured", async () => {
    expect(await (await visit().get("/sign-in")).text()).not.toContain("GitHub");
    const visitor = visit({ GITHUB_CLIENT_ID: "id", GITHUB_CLIENT_SECRET: "secret" });
    expect(await (await visitor.get("/sign-in")).text()).toContain("Continue with GitHub");
    const response = await visitor.post("/sign-in/with/github", { next: "/account/keys" });
    const target = new URL(response.headers.get("location") ?? "");
    expect(target.origin + target.pathname).toBe("https://github.com/login/oauth/authorize");
    expect(target.searchParams.get("redirect_uri")).toBe(`${SITE}/sign-in/with/callback/github`);
    expect((await visitor.post("/sign-in/with/google")).status).toBe(404);
  });
});

describe("sign-out", () => {
  it("ends the session, not only the cookie", async () => {
    const visitor = visit();
    await visitor.signUp();
    const stolen = new Map(visitor.cookies);
    expect((await visitor.post("/sign-out")).headers.get("location")).toBe("/");
    const thief = visit();
    thief.headers = {
      ...thief.headers,
      cookie: [...stolen].map(([name, value]) => `${name}=${value}`).join("; "),
    };
    expect((await thief.get("/account")).status).toBe(303);
  });

  it("everywhere ends all sessions", async () => {
    const here = visit();
    const there = visit();
    const email = await here.signUp();
    await there.post("/sign-in", { email, password: PASSWORD });
    expect((await there.get("/account")).status).toBe(200);
    await here.post("/account/settings/sessions/end");
    expect([(await here.get("/account")).status, (await there.get("/account")).status]).toEqual([303, 303]);
  });

  it("ends one other session", async () => {
    const here = visit();
    const there = visit();
    const email = await here.signUp();
    there.headers = { ...there.headers, "user-agent": "Mozilla/5.0 (iPhone) Version/26.0 Safari/605.1.15" };
    await there.post("/sign-in", { email, password: PASSWORD });
    const page = await (await here.get("/account/settings")).text();
    expect(page).toContain("Safari on iPhone");
    expect(page.match(/This device/g)).toHaveLength(1);
    const [path = "", ...more] = endPaths(page);
    expect([path, more]).toEqual([expect.stringMatching(/sessions/), []]);
    expect((await here.post(path, {}, "https://evil.test")).status).toBe(403);
    expect((await there.get("/account")).status).toBe(200);
    expect((await here.post(path)).headers.get("location")).toBe("/account/settings?done=session");
    expect([(await here.get("/account")).status, (await there.get("/account")).status]).toEqual([200, 303]);
    expect(await (await here.get("/account/settings?done=session")).text()).toContain("Session ended.");
    expect((await here.post(path)).status).toBe(404);
  });

  it("finds no session of another user, and not the current one", async () => {
    const [owner, other, stranger] = [visit(), visit(), visit()];
    const email = await owner.signUp();
    await other.post("/sign-in", { email, password: PASSWORD });
    await stranger.signUp();
    const [path = ""] = endPaths(await (await owner.get("/account/settings")).text());
    const [own = ""] = endPaths(await (await other.get("/account/settings")).text());
    const answers = [];
    const unknown = path.replace(/[0-9a-f-]{36}/, crypto.randomUUID());
    for (const id of [unknown, path]) {
      const answer = await stranger.post(id);
      answers.push([answer.status, await titleOf(answer)]);
    }
    expect(answers[0]?.[0]).toBe(404);
    expect(answers[1]).toEqual(answers[0]);
    expect((await owner.post(own)).status, "the current session").toBe(404);
    expect([(await owner.get("/account")).status, (await other.get("/account")).status]).toEqual([200, 200]);
  });

  it("is listed for the newest 50 sessions and the current one", async () => {
    const here = visit();
    const user = await findUser(await here.signUp());
    const later = new Date(Date.now() + 60_000);
    const add = async (from: number, to: number) => {
      for (let at = from; at < to; at++)
        await drizzle(env.DB)
          .insert(sessions)
          .values({
            ...{ id: crypto.randomUUID(), token: crypto.randomUUID(), userId: user?.id ?? "" },
            ...{ expiresAt: later, createdAt: later, updatedAt: later },
          });
    };
    const listed = async () => {
      const page = await (await here.get("/account/settings")).text();
      expect(page.match(/This device/g)).toHaveLength(1);
      return endPaths(page).length + 1;
    };
    await add(0, SESSIONS_LISTED - 1);
    expect(await listed()).toBe(SESSIONS_LISTED);
    await add(0, 1);
    expect(await listed()).toBe(SESSIONS_LISTED);
  });

  it("happens on other devices when the password changes", async () => {
    const here = visit();
    const there = visit();
    const email = await here.signUp();
    await there.post("/sign-in", { email, password: PASSWORD });
    const change = { current: PASSWORD, password: "another horse, another battery" };
    expect((await here.post("/account/settings/password", { ...change, current: "wrong one" })).status).toBe(
      422,
    );
    expect((await here.post("/account/settings/password", change)).status).toBe(303);
    expect([(await here.get("/account")).status, (await there.get("/account")).status]).toEqual([200, 303]);
    expect((await visit().post("/sign-in", { email, password: change.password })).status).toBe(303);
  });
});

describe("sign-in with GitHub", () => {
  const GITHUB = { GITHUB_CLIENT_ID: "id", GITHUB_CLIENT_SECRET: "secret", SIGNUP_CREDITS: "40" };

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** Stands in for GitHub, which has verified this email. */
  function verifyAtGitHub(email: string) {
    const answers: Record<string, unknown> = {
      "https://github.com/login/oauth/access_token": {
        access_token: "token",
        token_type: "bearer",
        scope: "",
      },
      "https://api.github.com/user": {
        id: `id of ${email}`,
        login: "ada",
        name: "Ada",
        email,
        avatar_url: "",
      },
      "https://api.github.com/user/emails": [{ email, primary: true, verified: true }],
    };
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) =>
      Response.json(answers[new Request(input, init).url] ?? null),
    );
  }

  async function signInWithGitHub(visitor: Visitor) {
    const left = await visitor.post("/sign-in/with/github", { next: "/account/keys" });
    const state = new URL(left.headers.get("location") ?? "").searchParams.get("state");
    return await visitor.get(`/sign-in/with/callback/github?code=code&state=${state}`);
  }

  it("gives a new user an account, credits and a session, and returns to the page", async () => {
    const email = newEmail();
    verifyAtGitHub(email);
    const visitor = visit(GITHUB);
    expect((await signInWithGitHub(visitor)).headers.get("location")).toBe("/account/keys");
    expect(await (await visitor.get("/account")).text()).toMatch(/data-balance[^>]*>40 </);
    expect(await (await visitor.get("/account/settings")).text()).toContain(
      "You sign in with GitHub or Google.",
    );
    expect(await findUser(email)).toMatchObject({ emailVerified: true, accountType: "FREE" });
  });

  it("does not open an account whose email is not verified", async () => {
    const email = await visit().signUp();
    verifyAtGitHub(email);
    const visitor = visit(GITHUB);
    const response = await signInWithGitHub(visitor);
    expect(response.headers.get("location")).toMatch(/\/sign-in\?error=/);
    expect(await (await visitor.get("/sign-in?error=account_not_linked")).text()).toContain(
      "Sign-in with the other service failed",
    );
    expect((await visitor.get("/account")).status).toBe(303);
  });

  it("rejects a callback with an unknown state", async () => {
    verifyAtGitHub(newEmail());
    const visitor = visit(GITHUB);
    await visitor.get("/sign-in/with/callback/github?code=code&state=made-up");
    expect((await visitor.get("/account")).status).toBe(303);
  });
});

describe("without PUBLIC_BASE_URL on a public host", () => {
  const UNSET = { PUBLIC_BASE_URL: "" };

  it.each(["/", "/docs", "/sign-in", "/account", "/nothing"])("the page %s is a 503", async (path) => {
    const said = spyOnLog();
    const response = await visit(UNSET).get(path);
    const lines = said.mock.calls.flat().join();
    said.mockRestore();
    expect(response.status).toBe(503);
    expect(lines).toContain("PUBLIC_BASE_URL is not set");
    expect(await response.text()).not.toContain("PUBLIC_BASE_URL");
  });

  it("rejects sign-in and sign-up, and sends no mail", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    const visitor = visit({ ...UNSET, MAIL_API_KEY: "key", MAIL_FROM: "hub@hub.test" });
    for (const path of ["/sign-in", "/sign-up", "/forgot-password"]) {
      expect((await visitor.post(path, { email: newEmail(), password: PASSWORD })).status).toBe(503);
    }
    expect(fetched).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it("serves the API's reads", async () => {
    expect((await visit(UNSET).get("/api/v1/models")).status).toBe(200);
  });

  it("serves pages on a loopback host", async () => {
    const response = await worker.fetch(
      new Request("http://127.0.0.1:8787/sign-in"),
      { ...env, ...UNSET },
      createExecutionContext(),
    );
    expect(response.status).toBe(200);
  });
});
