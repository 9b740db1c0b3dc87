import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import worker from "../../../src/index.ts";
import { RESETS_PER_EMAIL_MAX } from "../../../src/pages/auth/attempts.ts";
import { spyOnLog } from "../../support/log.ts";
import { newEmail, PASSWORD, SITE, titleOf, Visitor, visit } from "../visitor.ts";

describe("mail", () => {
  const mails: { to: string[]; subject: string; text: string }[] = [];
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

  it("links to the configured host, not to the host of the request", async () => {
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

  it("sends at most 3 reset links an hour, and the answer does not show it", async () => {
    const email = await visit().signUp();
    const pages = new Set();
    for (let count = 0; count < RESETS_PER_EMAIL_MAX + 2; count++) {
      const response = await visit(MAIL).post("/forgot-password", { email });
      pages.add([response.status, await response.text()].join());
    }
    expect(pages.size).toBe(1);
    expect(mails).toHaveLength(RESETS_PER_EMAIL_MAX);
  });

  it("keeps the address in the form when a network asks too often", async () => {
    const visitor = visit(MAIL);
    const [email, link] = [newEmail(), { token: "x", password: PASSWORD }];
    expect((await visitor.post("/forgot-password", { email })).status).toBe(200);
    await env.DB.prepare("UPDATE attempts SET count = 20 WHERE key LIKE 'reset:%'").run();
    for (const refused of [
      await visitor.post("/forgot-password", { email }),
      await visitor.post("/reset-password", link),
    ]) {
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
      const page = await refused.text();
      expect(page).toContain("Too many attempts. Try again in 60 minutes.");
      expect(page).toMatch(new RegExp(`value="(${email}|${link.token})"`));
      expect(page).not.toContain(PASSWORD);
    }
    expect(mails).toEqual([]);
  });

  const linkIn = (mail: { text: string } | undefined) =>
    (/https:\S+/.exec(mail?.text ?? "")?.[0] ?? "").replace(SITE, "");

  it("confirms an email before the first sign-in", async () => {
    const visitor = visit(MAIL);
    const email = newEmail();
    expect(await titleOf(await visitor.post("/sign-up", { email, password: PASSWORD }))).toBe(
      "Check your email",
    );
    expect((await visitor.get("/account")).status).toBe(303);
    expect((await visitor.post("/sign-in", { email, password: PASSWORD })).status).toBe(422);
    expect(mails.map(({ to }) => to)).toEqual([[email], [email]]);
    const confirmed = await visitor.get(linkIn(mails[0]));
    expect(confirmed.headers.get("location")).toBe("/account?welcome=1");
    expect((await visitor.get("/account")).status).toBe(200);
  });

  it("is written to the console on a loopback host, where sign-in does not wait for it", async () => {
    const said = spyOnLog();
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

  it("tells the owner, and not the form, that an email already has an account", async () => {
    const email = newEmail();
    const first = await visit(MAIL).post("/sign-up", { email, password: PASSWORD });
    const second = await visit(MAIL).post("/sign-up", { email, password: PASSWORD });
    expect([first.status, await first.text()]).toEqual([second.status, await second.text()]);
    expect(mails[1]?.text).toContain("already has an account");
  });

  it("is in the language of the visitor", async () => {
    const email = newEmail();
    const visitor = visit(MAIL);
    visitor.headers = { ...visitor.headers, "accept-language": "tr" };
    await visitor.post("/sign-up", { email, password: PASSWORD });
    await visitor.post("/sign-up", { email, password: PASSWORD });
    await visitor.post("/forgot-password", { email });
    expect(mails.map(({ subject }) => subject)).toEqual([
      "E-posta adresinizi doğrulayın",
      "Zaten bir hesabınız var",
      "Yeni parola seçin",
    ]);
    expect(mails.map(linkIn).map((link) => link.replace(/=.*/, ""))).toEqual([
      ...["/verify-email?token", "/sign-in", "/reset-password?token"],
    ]);
  });

  it("resets a password once, and ends every session", async () => {
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

  it("lets a user that the operator created sign in, without sign-up credits", async () => {
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

  it("is not offered where none can be sent", async () => {
    const visitor = visit();
    expect(await (await visitor.get("/sign-in")).text()).not.toContain("/forgot-password");
    for (const response of [
      await visitor.get("/forgot-password"),
      await visitor.post("/forgot-password", { email: newEmail() }),
    ]) {
      expect(response.status).toBe(503);
      expect(await response.text()).toContain("This server cannot send email.");
    }
    expect(await (await visit(MAIL).get("/sign-in")).text()).toContain('href="/forgot-password"');
    expect((await visit(MAIL).get("/forgot-password")).status).toBe(200);
  });
});
