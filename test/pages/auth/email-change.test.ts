import { env } from "cloudflare:workers";
import { eq } from "drizzle-orm";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { accounts, sessions, verifications } from "../../../src/db/schema.ts";
import { EMAIL_CHANGES_MAX } from "../../../src/pages/auth/attempts.ts";
import { findUser, newEmail, PASSWORD, SITE, titleOf, type Visitor, visit } from "../visitor.ts";

const MAIL = {
  MAIL_API_KEY: "mail-key",
  MAIL_FROM: "hub@hub.test",
  MAIL_API_URL: "https://mail.test/send",
};
const CHANGED = "/account/settings?done=email";

describe("a change of the email address", () => {
  const mails: { to: string[]; subject: string; text: string }[] = [];

  beforeEach(() => {
    mails.length = 0;
    vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
      mails.push(await new Request(input, init).json());
      return new Response("{}");
    });
  });

  afterEach(() => {
    vi.restoreAllMocks();
  });

  const lastTo = (email: string) => mails.findLast(({ to }) => to.includes(email));
  const tokenFor = (email: string) => /token=(\S+)/.exec(lastTo(email)?.text ?? "")?.[1] ?? "none";
  const change = (visitor: Visitor, to: string, password = PASSWORD) =>
    visitor.post("/account/settings/email", { new_email: to, email_password: password });
  const confirm = (token: string) => visit(MAIL).post("/change-email", { token });

  async function aUser() {
    const visitor = visit(MAIL);
    const email = await visitor.signUp();
    await visitor.get(`/verify-email?token=${tokenFor(email)}`);
    expect((await visitor.get("/account")).status).toBe(200);
    return { visitor, email };
  }

  it("takes effect once, when the new address confirms it, and sessions stay", async () => {
    const { visitor, email } = await aUser();
    const to = newEmail();
    expect((await change(visitor, to.toUpperCase())).headers.get("location")).toBe(CHANGED);
    expect(await (await visitor.get(CHANGED)).text()).toContain("Check the new mailbox.");
    expect(lastTo(email)).toMatchObject({ subject: "Your email address is about to change" });
    expect(lastTo(email)?.text).toContain(to);
    expect(lastTo(to)?.text).toContain(`${SITE}/change-email?token=`);
    const token = tokenFor(to);
    expect(lastTo(email)?.text).not.toContain(token);
    const opened = await visit(MAIL).get(`/change-email?token=${token}`);
    expect([opened.status, await titleOf(opened)]).toEqual([200, "Confirm your new email address"]);
    expect(await findUser(to), "opening the link changes nothing").toBeUndefined();
    expect(await titleOf(await confirm(token))).toBe("Email address changed");
    expect(await findUser(email)).toBeUndefined();
    expect(await findUser(to)).toMatchObject({ emailVerified: true });
    expect(await (await visitor.get("/account/settings")).text()).toContain(`<dd>${to}</dd>`);
    expect((await confirm(token)).status).toBe(400);
    expect((await visit(MAIL).post("/sign-in", { email: to, password: PASSWORD })).status).toBe(303);
    expect((await visit(MAIL).post("/sign-in", { email, password: PASSWORD })).status).toBe(422);
  });

  it("is made once when its link is confirmed twice at the same time", async () => {
    const { visitor } = await aUser();
    const to = newEmail();
    await change(visitor, to);
    const token = tokenFor(to);
    const answers = await Promise.all([confirm(token), confirm(token)]);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 400]);
  });

  it("names what is wrong with the form", async () => {
    const { visitor, email } = await aUser();
    const sent = mails.length;
    for (const [to, password, words] of [
      ["nobody", PASSWORD, "Enter an email address"],
      [email, PASSWORD, "This is your email address already."],
      [newEmail(), "wrong", "This is not your password."],
      [newEmail(), "", "This is not your password."],
    ] as const) {
      const answer = await change(visitor, to, password);
      expect(answer.status).toBe(422);
      const page = await answer.text();
      expect(page).toContain(words);
      expect(page).toContain(`value="${to}"`);
    }
    expect(mails).toHaveLength(sent);
    expect((await visitor.get("/account/settings/email")).status).toBe(303);
    expect((await visit(MAIL).post("/change-email", { token: "x" }, "https://evil.test")).status).toBe(403);
  });

  it("does not tell that the address has an account", async () => {
    const { visitor, email } = await aUser();
    const other = await aUser();
    const [taken, free] = [await change(visitor, other.email), await change(visitor, newEmail())];
    expect([taken.status, taken.headers.get("location")]).toEqual([
      free.status,
      free.headers.get("location"),
    ]);
    expect(lastTo(other.email)?.text).toContain("already has an account");
    expect(lastTo(other.email)?.text).not.toContain("token=");
    expect(await findUser(email)).toBeDefined();
  });

  it("fails when another user has taken the address meanwhile", async () => {
    const { visitor, email } = await aUser();
    const to = newEmail();
    await change(visitor, to);
    const token = tokenFor(to);
    await visit(MAIL).signUp(to);
    expect((await confirm(token)).status).toBe(400);
    expect(await findUser(email)).toBeDefined();
  });

  it.each(["replaced by a newer one", "canceled by a new password", "an hour old", "of a deleted user"])(
    "does nothing by a link that is %s",
    async (why) => {
      const { visitor, email } = await aUser();
      const to = newEmail();
      await change(visitor, to);
      const token = tokenFor(to);
      const user = await findUser(email);
      if (why.startsWith("replaced")) await change(visitor, newEmail());
      if (why.startsWith("canceled")) {
        await visitor.post("/account/settings/password", { current: PASSWORD, password: "another password" });
      }
      if (why.startsWith("an hour")) {
        await drizzle(env.DB)
          .update(verifications)
          .set({ expiresAt: new Date(Date.now() - 1) })
          .where(eq(verifications.value, user?.id ?? ""));
      }
      if (why.startsWith("of a deleted")) {
        await visitor.post("/account/settings/delete", { delete_confirmation: PASSWORD });
      }
      expect((await confirm(token)).status).toBe(400);
      expect(await findUser(to)).toBeUndefined();
    },
  );

  it("is canceled by a password that is reset, and cancels links to the old address", async () => {
    const { visitor, email } = await aUser();
    const to = newEmail();
    const reset = async () => {
      await visit(MAIL).post("/forgot-password", { email });
      const token = tokenFor(email);
      return () => visit(MAIL).post("/reset-password", { token, password: PASSWORD });
    };
    await change(visitor, to);
    const canceled = tokenFor(to);
    expect((await (await reset())()).status).toBe(200);
    expect((await confirm(canceled)).status).toBe(400);
    await visitor.post("/sign-in", { email, password: PASSWORD });
    await change(visitor, to);
    const late = await reset();
    expect((await confirm(tokenFor(to))).status).toBe(200);
    expect((await late()).status).toBe(422);
  });

  it("can be asked for three times an hour, and one address gets three mails", async () => {
    const [to, { visitor }, other] = [newEmail(), await aUser(), await aUser()];
    const sent = () => mails.filter((mail) => mail.to.includes(to)).length;
    for (let count = 0; count < EMAIL_CHANGES_MAX; count++) {
      expect((await change(visitor, to)).status).toBe(303);
    }
    expect((await change(visitor, newEmail())).status).toBe(429);
    expect(sent()).toBe(EMAIL_CHANGES_MAX);
    expect((await change(other.visitor, to)).status).toBe(303);
    expect(sent()).toBe(EMAIL_CHANGES_MAX);
  });

  it("needs a sign-in of the last 15 minutes from users without a password", async () => {
    const { visitor, email } = await aUser();
    const { id = "" } = (await findUser(email)) ?? {};
    await drizzle(env.DB).update(accounts).set({ providerId: "github" }).where(eq(accounts.userId, id));
    const age = (minutes: number) =>
      drizzle(env.DB)
        .update(sessions)
        .set({ createdAt: new Date(Date.now() - minutes * 60_000) })
        .where(eq(sessions.userId, id));
    expect(await (await visitor.get("/account/settings")).text()).not.toContain("email_password");
    await age(16);
    const late = await change(visitor, newEmail(), "");
    expect([late.status, await late.text()]).toEqual([422, expect.stringContaining("sign in again")]);
    await age(14);
    expect((await change(visitor, newEmail(), "")).status).toBe(303);
  });

  it("is not offered where no mail can be sent", async () => {
    const visitor = visit();
    await visitor.signUp();
    expect(await (await visitor.get("/account/settings")).text()).not.toContain("new_email");
    expect((await change(visitor, newEmail())).status).toBe(503);
  });
});
