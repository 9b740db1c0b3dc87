import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Account } from "../../src/account/account.ts";
import { WRONG_MS } from "../../src/auth/sessions.ts";
import worker from "../../src/index.ts";
import {
  SIGN_INS_FAST_MAX,
  SIGN_INS_PER_EMAIL_MAX,
  SIGN_INS_PER_NETWORK_MAX,
  SIGN_UPS_PER_NETWORK_MAX,
  signInDelayMs,
} from "../../src/pages/sign-in.tsx";
import { grantOwedCredits } from "../../src/users/signup-credits.ts";
import { findUser, newEmail, PASSWORD, SITE, Visitor } from "./visitor.ts";

let address = 0;

/** Each with an address of its own, so that what one tries often does not count for another. */
function visit(settings: Record<string, string> = {}) {
  const visitor = new Visitor(async (request) => {
    const context = createExecutionContext();
    const response = await worker.fetch(request, { ...env, ...settings }, context);
    await waitOnExecutionContext(context);
    return response;
  });
  visitor.headers = { ...visitor.headers, "cf-connecting-ip": `192.0.2.${++address}` };
  return visitor;
}

const titleOf = async (response: Response) => /<h1[^>]*>(.*?)<\/h1>/.exec(await response.text())?.[1];

describe("signing up", () => {
  it("signs in, in a cookie that scripts and other sites cannot use", async () => {
    const visitor = visit();
    const response = await visitor.post("/sign-up", { email: newEmail(), password: PASSWORD });
    expect([response.status, response.headers.get("location")]).toEqual([303, "/account?welcome=1"]);
    const [cookie] = response.headers.getSetCookie();
    expect(cookie).toMatch(/^__Secure-gih\.session_token=[^;]+;.*HttpOnly; *Secure; *SameSite=Lax/i);
    expect(await titleOf(await visitor.get("/account"))).toBe("Overview");
  });

  it.each([
    ["no address", { email: "ada", password: PASSWORD }, "email-error"],
    ["nine characters", { email: "ada@example.com", password: "123456789" }, "password-error"],
    ["129 characters", { email: "ada@example.com", password: "x".repeat(129) }, "password-error"],
  ])("refuses %s, at the field", async (_, fields, errorId) => {
    const response = await visit().post("/sign-up", fields);
    const page = await response.text();
    expect(response.status).toBe(422);
    expect(page).toContain(`id="${errorId}"`);
    expect(page).toContain(`value="${fields.email}"`);
    expect(page).not.toContain(fields.password);
  });

  it("takes passwords of 10 and of 128 characters", async () => {
    for (const length of [10, 128]) {
      const response = await visit().post("/sign-up", { email: newEmail(), password: "x".repeat(length) });
      expect(response.status).toBe(303);
    }
  });

  it("takes an address once, in whatever letters", async () => {
    const email = newEmail();
    await visit().post("/sign-up", { email, password: PASSWORD });
    const again = await visit().post("/sign-up", { email: email.toUpperCase(), password: PASSWORD });
    expect(again.status).toBe(422);
  });

  it("is limited for one caller", async () => {
    const visitor = visit();
    const statuses = [];
    for (let count = 0; count <= SIGN_UPS_PER_NETWORK_MAX; count++) {
      statuses.push(
        (await visitor.post("/sign-up", { email: "demo@example.com", password: PASSWORD })).status,
      );
    }
    expect(statuses.slice(-2)).toEqual([422, 429]);
  });
});

/** A loopback host is development: whoever signs up there needs no proof of the address. */
const DEVELOPMENT = { PUBLIC_BASE_URL: "http://localhost:8787" };

describe("the credits for signing up", () => {
  const balance = async (email: string) => {
    const user = await findUser(email);
    return await env.ACCOUNT.getByName(user?.id ?? "").statement(Number.MAX_SAFE_INTEGER, 10);
  };

  it("come once, as a grant of thirty days, however often one comes back", async () => {
    const visitor = visit({ ...DEVELOPMENT, SIGNUP_CREDITS: "40" });
    const email = await visitor.signUp();
    await Promise.all([visitor.get("/account"), visitor.get("/account"), visitor.get("/account/keys")]);
    await visitor.get("/account");
    const { balance: held, grants } = await balance(email);
    expect(held.credits).toBe(40);
    expect(grants.map(({ id }) => id)).toEqual(["signup"]);
    const days = ((grants[0]?.expiresAt ?? 0) - Date.now()) / 86_400_000;
    expect(days).toBeCloseTo(30, 1);
    expect((await findUser(email))?.signupGrantDue).toBe(false);
  });

  it("are still due after a failure, and come with the next sign-in", async () => {
    const unreachable = vi.spyOn(Account.prototype, "grant").mockRejectedValue(new Error("unreachable"));
    const visitor = visit({ ...DEVELOPMENT, SIGNUP_CREDITS: "40" });
    const email = await visitor.signUp();
    expect((await visitor.get("/account")).status).toBe(200);
    expect((await findUser(email))?.signupGrantDue).toBe(true);
    unreachable.mockRestore();
    await visitor.post("/sign-out");
    expect((await visitor.post("/sign-in", { email, password: PASSWORD })).status).toBe(303);
    expect((await balance(email)).balance.credits).toBe(40);
    expect((await findUser(email))?.signupGrantDue).toBe(false);
  });

  it("are none for an address that is not verified, and are not promised then", async () => {
    const visitor = visit({ SIGNUP_CREDITS: "40" });
    expect(await (await visitor.get("/sign-up")).text()).not.toContain("40 credits");
    const email = await visitor.signUp();
    await visitor.get("/account");
    expect((await balance(email)).balance.credits).toBe(0);
    expect((await findUser(email))?.signupGrantDue).toBe(true);
    await env.DB.prepare("UPDATE users SET email_verified = 1 WHERE email = ?").bind(email).run();
    await visitor.post("/sign-out");
    await visitor.post("/sign-in", { email, password: PASSWORD });
    expect((await balance(email)).balance.credits).toBe(40);
  });

  it("that a verified user is owed are granted by the daily run", async () => {
    const email = await visit({ SIGNUP_CREDITS: "40" }).signUp();
    await grantOwedCredits(env, 40, Date.now());
    expect((await balance(email)).balance.credits).toBe(0);
    await env.DB.prepare("UPDATE users SET email_verified = 1 WHERE email = ?").bind(email).run();
    await grantOwedCredits(env, 40, Date.now());
    await grantOwedCredits(env, 40, Date.now());
    expect((await balance(email)).balance.credits).toBe(40);
  });

  it.each([
    ["ada+1@example.com", "ada+2@example.com", "ada@example.com"],
    ["Grace.Hopper@gmail.com", "gracehopper+x@googlemail.com", "g.r.a.c.e.hopper@gmail.com"],
  ])("come once for one mailbox: %s, %s, %s", async (...addresses) => {
    const balances = [];
    for (const address of addresses) {
      const visitor = visit({ ...DEVELOPMENT, SIGNUP_CREDITS: "40" });
      await visitor.signUp(address);
      await visitor.get("/account");
      balances.push((await balance(address.toLowerCase())).balance.credits);
    }
    expect(balances).toEqual([40, 0, 0]);
    const { results } = await env.DB.prepare("SELECT * FROM signup_mailboxes").all();
    expect(JSON.stringify(results)).not.toContain("@");
  });

  it("are none by default", async () => {
    const visitor = visit();
    const email = await visitor.signUp();
    await visitor.get("/account");
    expect((await balance(email)).balance.credits).toBe(0);
  });

  it.each([
    ["/account", "0"],
    ["/account/playground", "0"],
    ["/account/credits", "0"],
    ["/account", "1"],
    ["/account/playground", "1"],
    ["/account/credits", "1"],
  ])("%s says what to do without any, and nothing of it with one (%s)", async (path, SIGNUP_CREDITS) => {
    const visitor = visit({ ...DEVELOPMENT, SIGNUP_CREDITS });
    const email = await visitor.signUp();
    const page = await (await visitor.get(path)).text();
    expect(page.includes("You have no credits.")).toBe(SIGNUP_CREDITS === "0");
    expect(page.includes(`ask for some for the account ${email}`)).toBe(SIGNUP_CREDITS === "0");
  });
});

describe("signing in", () => {
  it("leads back to where one was, and nowhere else", async () => {
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

  it("gives a cookie for this site alone that scripts cannot read, and a new one to whoever brings one", async () => {
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
    "takes %j for no address, at the field, wherever one is asked for",
    async (email) => {
      for (const path of ["/sign-in", "/sign-up", "/forgot-password"]) {
        const response = await visit().post(path, { email, password: PASSWORD });
        expect([path, response.status]).toEqual([path, 422]);
        expect(await response.text()).toContain('id="email-error"');
      }
    },
  );

  it("answers a wrong password and an unknown address alike, and as slowly", async () => {
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

  it("is limited for one address from one network, and nobody locks its owner out elsewhere", async () => {
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
    expect((await visit().post("/sign-in", { email, password: PASSWORD })).status).toBe(303);
  });

  it("is limited for one network, whatever the addresses, and IPv6 is counted by /64", async () => {
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
  ])("the %i. try for an account, from whatever networks, is held back for %i ms", (count, milliseconds) => {
    expect(signInDelayMs(count)).toBe(milliseconds);
  });

  it("for an account that others try is slower, and works", async () => {
    const email = await visit().signUp();
    for (let count = 0; count <= SIGN_INS_FAST_MAX; count++) {
      await visit().post("/sign-in", { email, password: "not the password" });
    }
    const began = performance.now();
    expect((await visit().post("/sign-in", { email, password: PASSWORD })).status).toBe(303);
    expect(performance.now() - began).toBeGreaterThan(signInDelayMs(SIGN_INS_FAST_MAX + 2) * 0.95);
  });

  it.each([null, "https://evil.test", "null"])("takes no form whose origin is %s", async (origin) => {
    const email = await visit().signUp();
    const response = await visit().post("/sign-in", { email, password: PASSWORD }, origin);
    expect(response.status).toBe(403);
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  it("is refused with one page while there is no secret; the rest goes on", async () => {
    const visitor = visit({ AUTH_SECRET: "too short" });
    expect((await visitor.post("/sign-in", { email: newEmail(), password: PASSWORD })).status).toBe(503);
    expect((await visitor.get("/account")).status).toBe(503);
    expect((await visitor.get("/")).status).toBe(200);
    expect((await visitor.get("/api/v1/models")).status).toBe(200);
  });

  it("shows other sites only when they are configured", async () => {
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

describe("signing out", () => {
  it("ends the session itself, not only the cookie", async () => {
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

  it("everywhere ends the others, too", async () => {
    const here = visit();
    const there = visit();
    const email = await here.signUp();
    await there.post("/sign-in", { email, password: PASSWORD });
    expect((await there.get("/account")).status).toBe(200);
    await here.post("/account/settings/sessions/end");
    expect([(await here.get("/account")).status, (await there.get("/account")).status]).toEqual([303, 303]);
  });

  it("a change of the password ends the others", async () => {
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

describe("by another site", () => {
  const GITHUB = { GITHUB_CLIENT_ID: "id", GITHUB_CLIENT_SECRET: "secret", SIGNUP_CREDITS: "40" };

  afterEach(() => {
    vi.restoreAllMocks();
  });

  /** GitHub's side: whoever comes back has this address, which it has confirmed. */
  function vouchFor(email: string) {
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

  async function comeBack(visitor: Visitor) {
    const left = await visitor.post("/sign-in/with/github", { next: "/account/keys" });
    const state = new URL(left.headers.get("location") ?? "").searchParams.get("state");
    return await visitor.get(`/sign-in/with/callback/github?code=code&state=${state}`);
  }

  it("somebody new gets an account, credits and a session, and goes on where they were", async () => {
    const email = newEmail();
    vouchFor(email);
    const visitor = visit(GITHUB);
    expect((await comeBack(visitor)).headers.get("location")).toBe("/account/keys");
    expect(await (await visitor.get("/account")).text()).toMatch(/data-balance[^>]*>40 </);
    expect(await (await visitor.get("/account/settings")).text()).toContain("You sign in by another site.");
    expect(await findUser(email)).toMatchObject({ emailVerified: true, accountType: "FREE" });
  });

  it("nobody gets into an account whose address its owner has not proven", async () => {
    const email = await visit().signUp();
    vouchFor(email);
    const visitor = visit(GITHUB);
    const response = await comeBack(visitor);
    expect(response.headers.get("location")).toMatch(/\/sign-in\?error=/);
    expect(await (await visitor.get("/sign-in?error=account_not_linked")).text()).toContain(
      "did not sign you in",
    );
    expect((await visitor.get("/account")).status).toBe(303);
  });

  it("a return that nobody here began is refused", async () => {
    vouchFor(newEmail());
    const visitor = visit(GITHUB);
    await visitor.get("/sign-in/with/callback/github?code=code&state=made-up");
    expect((await visitor.get("/account")).status).toBe(303);
  });
});

describe("by mail", () => {
  const mails: { to: string[]; text: string }[] = [];
  const MAIL = {
    MAIL_API_KEY: "mail-key",
    MAIL_FROM: "hub@hub.test",
    MAIL_API_URL: "https://mail.test/send",
  };

  beforeEach(() => {
    mails.length = 0;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      const request = new Request(input, init);
      expect([request.url, request.headers.get("authorization")]).toEqual([
        "https://mail.test/send",
        "Bearer mail-key",
      ]);
      mails.push(await request.json());
      return new Response("{}");
    });
  });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  it("links lead to the site's own address, whatever host a request names", async () => {
    const email = await visit().signUp();
    const visitor = visit(MAIL);
    const forged = new Visitor(async (request) => {
      const context = createExecutionContext();
      const there = new Request(request.url.replace(SITE, "https://evil.test"), request);
      const response = await worker.fetch(there, { ...env, ...MAIL }, context);
      await waitOnExecutionContext(context);
      return response;
    });
    forged.headers = visitor.headers;
    expect((await forged.post("/forgot-password", { email })).status).toBe(200);
    expect(mails.map(({ text }) => text).join()).toContain(`${SITE}/reset-password?token=`);
    expect(mails.map(({ text }) => text).join()).not.toContain("evil.test");
  });

  it("no more links are sent than the mailbox needs, and the answer does not tell", async () => {
    const email = await visit().signUp();
    const pages = new Set();
    for (let count = 0; count < 5; count++) {
      const response = await visit(MAIL).post("/forgot-password", { email });
      pages.add([response.status, await response.text()].join());
    }
    expect(pages.size).toBe(1);
    expect(mails).toHaveLength(3);
  });

  const linkIn = (mail: { text: string } | undefined) =>
    (/https:\S+/.exec(mail?.text ?? "")?.[0] ?? "").replace(SITE, "");

  it("an address is confirmed before it may be used", async () => {
    const visitor = visit(MAIL);
    const email = newEmail();
    expect(await titleOf(await visitor.post("/sign-up", { email, password: PASSWORD }))).toBe(
      "Look into your mail",
    );
    expect((await visitor.get("/account")).status).toBe(303);
    expect((await visitor.post("/sign-in", { email, password: PASSWORD })).status).toBe(422);
    expect(mails.map(({ to }) => to)).toEqual([[email], [email]]);
    const confirmed = await visitor.get(linkIn(mails[0]));
    expect(confirmed.headers.get("location")).toBe("/account?welcome=1");
    expect((await visitor.get("/account")).status).toBe(200);
  });

  it("goes to the console on a developer's machine, where nothing waits for it", async () => {
    const said = vi.spyOn(console, "log").mockReturnValue();
    const visitor = visit({ PUBLIC_BASE_URL: "http://localhost:8787" });
    const email = await visitor.signUp();
    expect((await visitor.get("/account")).status).toBe(200);
    const link = "http://localhost:8787/verify-email?token=";
    await vi.waitFor(() => {
      const mail = expect.stringMatching(
        new RegExp(`Mail to ${email}: Confirm[^]*${link.replace("?", ".")}`),
      );
      expect(said).toHaveBeenCalledWith(mail);
    });
  });

  it("a sign-up does not tell whether an address has an account; the mail does", async () => {
    const email = newEmail();
    const first = await visit(MAIL).post("/sign-up", { email, password: PASSWORD });
    const second = await visit(MAIL).post("/sign-up", { email, password: PASSWORD });
    expect([first.status, await first.text()]).toEqual([second.status, await second.text()]);
    expect(mails[1]?.text).toContain("It has an account already");
  });

  it("a new password is chosen, once, and every session ends", async () => {
    const visitor = visit();
    const email = await visitor.signUp();
    const asking = visit(MAIL);
    const known = await (await asking.post("/forgot-password", { email })).text();
    const unknown = newEmail();
    expect(await (await asking.post("/forgot-password", { email: unknown })).text()).toBe(
      known.replaceAll(email, unknown),
    );
    expect(mails).toHaveLength(1);
    const token = new URL(linkIn(mails[0]), SITE).searchParams.get("token") ?? "";
    const reset = { token, password: "quite another password" };
    expect((await asking.post("/reset-password", { ...reset, password: "short" })).status).toBe(422);
    expect((await asking.post("/reset-password", reset)).status).toBe(200);
    expect((await asking.post("/reset-password", reset)).status).toBe(422);
    expect((await visitor.get("/account")).status).toBe(303);
    expect((await asking.post("/sign-in", { email, password: reset.password })).status).toBe(303);
  });

  it("whom the operator made gets in, without credits for signing up", async () => {
    const email = newEmail();
    const operator = { ADMIN_TOKEN: "operator".repeat(4), ...MAIL, SIGNUP_CREDITS: "40" };
    const context = createExecutionContext();
    const made = await worker.fetch(
      new Request(`${SITE}/api/admin/users`, {
        method: "POST",
        headers: { authorization: `Bearer ${operator.ADMIN_TOKEN}`, "content-type": "application/json" },
        body: JSON.stringify({ email, account_type: "PRO" }),
      }),
      { ...env, ...operator },
      context,
    );
    expect(made.status).toBe(201);
    const visitor = visit(operator);
    await visitor.post("/forgot-password", { email });
    const token = new URL(linkIn(mails[0]), SITE).searchParams.get("token") ?? "";
    await visitor.post("/reset-password", { token, password: PASSWORD });
    await visitor.post("/sign-in", { email, password: PASSWORD });
    const page = await (await visitor.get("/account")).text();
    expect(page).toContain("PRO account");
    expect(page).toMatch(/data-balance[^>]*>0 </);
  });
});

describe("without PUBLIC_BASE_URL, on a host that is not loopback,", () => {
  const UNSET = { PUBLIC_BASE_URL: "" };

  it.each(["/", "/docs", "/sign-in", "/account", "/nothing"])("the page %s is 503", async (path) => {
    const said = vi.spyOn(console, "log").mockReturnValue();
    const response = await visit(UNSET).get(path);
    const lines = said.mock.calls.flat().join();
    said.mockRestore();
    expect(response.status).toBe(503);
    expect(lines).toContain("PUBLIC_BASE_URL is not set");
    expect(await response.text()).not.toContain("PUBLIC_BASE_URL");
  });

  it("nobody signs in or up, and nothing is mailed", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    const visitor = visit({ ...UNSET, MAIL_API_KEY: "key", MAIL_FROM: "hub@hub.test" });
    for (const path of ["/sign-in", "/sign-up", "/forgot-password"]) {
      expect((await visitor.post(path, { email: newEmail(), password: PASSWORD })).status).toBe(503);
    }
    expect(fetched).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  it("the API's reads go on", async () => {
    expect((await visit(UNSET).get("/api/v1/models")).status).toBe(200);
  });

  it("a loopback host is development, and has its pages", async () => {
    const response = await worker.fetch(
      new Request("http://127.0.0.1:8787/sign-in"),
      { ...env, ...UNSET },
      createExecutionContext(),
    );
    expect(response.status).toBe(200);
  });
});
