import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { Account } from "../../../src/account/account.ts";
import { runDueJobs } from "../../../src/jobs/jobs.ts";
import { SIGN_UPS_PER_NETWORK_MAX } from "../../../src/pages/auth/attempts.ts";
import { grantOwedCredits } from "../../../src/users/signup-credits.ts";
import { spyOnLog } from "../../support/log.ts";
import { findUser, newEmail, PASSWORD, titleOf, visit } from "../visitor.ts";

describe("sign-up", () => {
  it("signs the user in, with a cookie that scripts and other sites cannot use", async () => {
    const visitor = visit();
    const response = await visitor.post("/sign-up", { email: newEmail(), password: PASSWORD });
    expect([response.status, response.headers.get("location")]).toEqual([303, "/account?welcome=1"]);
    const [cookie] = response.headers.getSetCookie();
    expect(cookie).toMatch(/^__Secure-gih\.session_token=[^;]+;.*HttpOnly; *Secure; *SameSite=Lax/i);
    expect(await titleOf(await visitor.get("/account"))).toBe("Overview");
  });

  it.each([
    ["an invalid email", { email: "ada", password: PASSWORD }, "email-error"],
    ["a password of 9 characters", { email: "ada@example.com", password: "123456789" }, "password-error"],
    [
      "a password of 129 characters",
      { email: "ada@example.com", password: "x".repeat(129) },
      "password-error",
    ],
  ])("rejects %s and shows the error at the field", async (_, fields, errorId) => {
    const response = await visit().post("/sign-up", fields);
    const page = await response.text();
    expect(response.status).toBe(422);
    expect(page).toContain(`id="${errorId}"`);
    expect(page).toContain(`value="${fields.email}"`);
    expect(page).not.toContain(fields.password);
  });

  it("accepts passwords of 10 and of 128 characters", async () => {
    for (const length of [10, 128]) {
      const response = await visit().post("/sign-up", { email: newEmail(), password: "x".repeat(length) });
      expect(response.status).toBe(303);
    }
  });

  it("accepts an email once, in upper or lower case", async () => {
    const email = newEmail();
    await visit().post("/sign-up", { email, password: PASSWORD });
    const again = await visit().post("/sign-up", { email: email.toUpperCase(), password: PASSWORD });
    expect(again.status).toBe(422);
  });

  it("offers to sign in to the account that an email has, where no mail can verify it", async () => {
    const visitor = visit({ PUBLIC_BASE_URL: "http://localhost:8787" });
    const email = await visitor.signUp();
    await visitor.post("/sign-out");
    const again = await visitor.post("/sign-up", { email, password: "not the password" });
    expect(again.status).toBe(422);
    const page = await again.text();
    expect(page).toContain("An account with this email already exists.");
    expect(page).toMatch(/action="\/sign-in"[\s\S]*name="next" value="\/account"/);
    expect(page).toContain(`value="${email}"`);
    expect(page).toContain('href="/forgot-password"');
    expect(page).not.toContain("not the password");
  });

  it("is limited for each network", async () => {
    const visitor = visit();
    const statuses = [];
    for (let count = 0; count <= SIGN_UPS_PER_NETWORK_MAX; count++) {
      statuses.push(
        (await visitor.post("/sign-up", { email: "demo@example.com", password: PASSWORD })).status,
      );
    }
    expect(statuses.slice(-2)).toEqual([422, 429]);
    const refused = await visitor.post("/sign-up", { email: "demo@example.com", password: PASSWORD });
    const page = await refused.text();
    expect(page).toMatch(/Too many attempts\. Try again in (60|59) minutes\./);
    expect(page).toContain('action="/sign-up"');
    expect(page).toContain('value="demo@example.com"');
    expect(page).not.toContain(PASSWORD);
  });
});

/** On a loopback host (development) an email needs no verification. */
const DEVELOPMENT = { PUBLIC_BASE_URL: "http://localhost:8787" };

describe("sign-up credits", () => {
  const balance = async (email: string) => {
    const user = await findUser(email);
    return await env.ACCOUNT.getByName(user?.id ?? "").statement(Number.MAX_SAFE_INTEGER, 10);
  };

  it("are granted once, for 30 days", async () => {
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

  it("are granted at the next sign-in after a failure", async () => {
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

  it("are neither promised nor granted before the email is verified", async () => {
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

  it("that are due are granted by the daily cron once the email is verified", async () => {
    const email = await visit({ SIGNUP_CREDITS: "40" }).signUp();
    await grantOwedCredits(env, 40, Date.now());
    expect((await balance(email)).balance.credits).toBe(0);
    await env.DB.prepare("UPDATE users SET email_verified = 1 WHERE email = ?").bind(email).run();
    await grantOwedCredits(env, 40, Date.now());
    await grantOwedCredits(env, 40, Date.now());
    expect((await balance(email)).balance.credits).toBe(40);
  });

  it("that no mail can make due are a warning of the daily job, in which no address is", async () => {
    const said = spyOnLog();
    const daily = Date.parse("2026-03-01T03:20:00Z");
    const runJobs = (settings: Record<string, string>) => runDueJobs({ ...env, ...settings }, daily);
    const warnings = () => said.mock.calls.flat().filter((line) => line.includes("signup_credits_waiting"));
    await env.DB.prepare("UPDATE users SET signup_grant_due = 0").run();
    await runJobs({ SIGNUP_CREDITS: "40" });
    expect(warnings()).toEqual([]);
    await visit({ SIGNUP_CREDITS: "40" }).signUp();
    await runJobs({ SIGNUP_CREDITS: "40", MAIL_API_KEY: "k", MAIL_FROM: "hub@hub.test" });
    await runJobs({ SIGNUP_CREDITS: "0" });
    expect(warnings()).toEqual([]);
    await runJobs({ SIGNUP_CREDITS: "40" });
    expect(warnings()).toEqual([JSON.stringify({ event: "signup_credits_waiting", users: 1 })]);
    vi.restoreAllMocks();
  });

  it.each([
    ["ada+1@example.com", "ada+2@example.com", "ada@example.com"],
    ["Grace.Hopper@gmail.com", "gracehopper+x@googlemail.com", "g.r.a.c.e.hopper@gmail.com"],
  ])("are granted once for one mailbox: %s, %s, %s", async (...addresses) => {
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

  it("are off by default", async () => {
    const visitor = visit();
    const email = await visitor.signUp();
    await visitor.get("/account");
    expect((await balance(email)).balance.credits).toBe(0);
  });

  it.each([
    ["/account", "0"],
    ["/account/playground", "0"],
    ["/account", "1"],
    ["/account/playground", "1"],
  ])(
    "%s explains how to get credits only when the balance is 0 (granted: %s)",
    async (path, SIGNUP_CREDITS) => {
      const visitor = visit({ ...DEVELOPMENT, SIGNUP_CREDITS });
      await visitor.signUp();
      const page = await (await visitor.get(path)).text();
      expect(page.includes("You have no credits.")).toBe(SIGNUP_CREDITS === "0");
      expect(page.includes("Contact support")).toBe(SIGNUP_CREDITS === "0");
    },
  );
});
