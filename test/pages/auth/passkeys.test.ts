import { env } from "cloudflare:workers";
import { drizzle } from "drizzle-orm/d1";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { PASSKEY_NAME_LENGTH_MAX, PASSKEYS_MAX } from "../../../src/auth/passkeys.ts";
import { passkeys } from "../../../src/db/schema.ts";
import { PASSKEYS_ASKED_MAX, SIGN_INS_PER_NETWORK_MAX } from "../../../src/pages/auth/attempts.ts";
import { changeUser, deleteUser } from "../../../src/users/users.ts";
import { spyOnLog } from "../../support/log.ts";
import { PasskeyDevice } from "../../support/passkey-device.ts";
import { findUser, PASSWORD, SITE, titleOf, type Visitor, visit } from "../visitor.ts";

const REFUSED = "The passkey could not be added.";
const FAILED = "Sign-in with the passkey failed.";

let said: ReturnType<typeof spyOnLog>;

beforeEach(() => {
  said = spyOnLog();
});

afterEach(() => {
  vi.restoreAllMocks();
});

const MAIL = { MAIL_API_KEY: "mail-key", MAIL_FROM: "hub@hub.test", MAIL_API_URL: "https://mail.test/send" };

/** Stands in for the mail API. @returns what it is sent */
function collectMails(): unknown[] {
  const mails: unknown[] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    mails.push(await new Request(input, init).json());
    return new Response("{}");
  });
  return mails;
}

async function member() {
  const visitor = visit();
  const email = await visitor.signUp();
  const user = await findUser(email);
  if (!user) throw new Error("The sign-up failed.");
  return { visitor, email, id: user.id };
}

/** Sends the first form of a new passkey. @returns what its page has for the browser */
async function begin(visitor: Visitor, fields: Record<string, string> = {}) {
  const form = { passkey_name: "a phone", passkey_password: PASSWORD, ...fields };
  const response = await visitor.post("/account/settings/passkeys/new", form);
  const page = await response.text();
  const [, options = ""] = /data-passkey-new="([^"]*)"/.exec(page) ?? [];
  return { status: response.status, page, options: options.replaceAll("&quot;", '"') };
}

const finish = async (visitor: Visitor, credential: string, name = "a phone") =>
  await visitor.post("/account/settings/passkeys", { passkey_name: name, credential });

async function add(visitor: Visitor, device: PasskeyDevice, name = "a phone") {
  const { options } = await begin(visitor, { passkey_name: name });
  return await finish(visitor, await device.make(options), name);
}

const ask = async (visitor: Visitor) => await (await visitor.post("/sign-in/passkey/options")).text();

async function signIn(visitor: Visitor, device: PasskeyDevice, next = "/account/keys") {
  const credential = await device.use(await ask(visitor));
  return await visitor.post("/sign-in/passkey", { credential, next });
}

const removals = (page: string) =>
  [...page.matchAll(/action="(\/account\/settings\/passkeys\/[\w-]+\/remove)"/g)].map(
    ([, path = ""]) => path,
  );

const settingsOf = async (visitor: Visitor) => await (await visitor.get("/account/settings")).text();

/** Rows of passkeys that no device has. */
async function fill(userId: string, many: number) {
  for (let at = 0; at < many; at++)
    await drizzle(env.DB)
      .insert(passkeys)
      .values({
        ...{ id: crypto.randomUUID(), userId, name: `key ${at}`, credentialID: crypto.randomUUID() },
        ...{ publicKey: "", counter: 0, deviceType: "singleDevice", backedUp: false, createdAt: new Date() },
      });
}

describe("a passkey", () => {
  it("is added, listed, signs in, and is refused when it is removed", async () => {
    const { visitor, email, id } = await member();
    const device = new PasskeyDevice(SITE);
    const begun = await begin(visitor, { passkey_name: " Ada's <phone> " });
    expect(begun.status).toBe(200);
    expect(JSON.parse(begun.options)).toMatchObject({
      rp: { id: "hub.test", name: "GPT Image Hub" },
      user: { name: email },
      attestation: "none",
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
    });
    const added = await finish(visitor, await device.make(begun.options), " Ada's <phone> ");
    expect(added.headers.get("location")).toBe("/account/settings?done=passkey");
    expect(await (await visitor.get("/account/settings?done=passkey")).text()).toContain("Passkey added.");
    expect(await settingsOf(visitor)).toContain("Ada&#39;s &lt;phone&gt;<br");
    expect(said.mock.calls.join()).toContain(`{"event":"passkey_added","user_id":"${id}"}`);

    const other = visit();
    const back = await signIn(other, device);
    expect([back.status, back.headers.get("location")]).toEqual([303, "/account/keys"]);
    const data = new TextDecoder().decode(await (await other.get("/account/settings/data")).bytes());
    expect(data).toMatch(/\{"object":"passkey","id":"[^"]+","name":"Ada's <phone>","created_at":"20/);

    const [removal = "", ...more] = removals(await settingsOf(visitor));
    expect(more).toEqual([]);
    const removed = await visitor.post(removal);
    expect(removed.headers.get("location")).toBe("/account/settings?done=passkey-removed");
    expect(said.mock.calls.join()).toContain(`{"event":"passkey_removed","user_id":"${id}"}`);
    expect(await settingsOf(visitor)).not.toContain("phone");
    const refused = await signIn(visit(), device);
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain(FAILED);
    expect((await other.get("/account")).status, "its sessions stay").toBe(200);
  });

  it("is added with the password only, or without one, soon after the sign-in", async () => {
    const { visitor, id } = await member();
    const wrong = await begin(visitor, { passkey_password: "not the password" });
    expect([wrong.status, wrong.options]).toEqual([422, ""]);
    expect(wrong.page).toContain("This is not your password.");
    await env.DB.prepare("DELETE FROM accounts WHERE user_id = ?").bind(id).run();
    expect((await begin(visitor, { passkey_password: "" })).status).toBe(200);
    const earlier = Date.now() - 16 * 60_000;
    await env.DB.prepare("UPDATE sessions SET created_at = ? WHERE user_id = ?").bind(earlier, id).run();
    const late = await begin(visitor, { passkey_password: "" });
    expect(late.status).toBe(422);
    expect(late.page).toContain("Sign out and sign in again");
  });

  it("is not a way to try passwords", async () => {
    const { visitor } = await member();
    const statuses = [];
    for (let times = 0; times < 11; times++)
      statuses.push((await begin(visitor, { passkey_password: "not the password" })).status);
    expect(statuses).toEqual([...Array(10).fill(422), 429]);
    expect((await begin(visitor)).status).toBe(429);
  });

  it("is told of by mail, and a reload returns to the settings", async () => {
    const { email } = await member();
    const visitor = visit(MAIL);
    await env.DB.prepare("UPDATE users SET email_verified = 1 WHERE email = ?").bind(email).run();
    await visitor.post("/sign-in", { email, password: PASSWORD });
    const mails = collectMails();
    await add(visitor, new PasskeyDevice(SITE));
    expect(mails).toMatchObject([{ to: [email], subject: "A passkey was added to your account" }]);
    expect(JSON.stringify(mails)).toContain(`${SITE}/account/settings#passkeys`);
    for (const path of ["/account/settings/passkeys", "/account/settings/passkeys/new"])
      expect((await visitor.get(path)).headers.get("location")).toBe("/account/settings");
  });

  it("has a name of at most 64 characters", async () => {
    const { visitor } = await member();
    const long = "x".repeat(PASSKEY_NAME_LENGTH_MAX);
    expect((await begin(visitor, { passkey_name: long })).status).toBe(200);
    for (const name of ["", " ", `${long}x`]) {
      expect((await begin(visitor, { passkey_name: name })).status).toBe(422);
      expect((await finish(visitor, "{}", name)).status).toBe(422);
    }
  });

  it("can be one of ten", async () => {
    const { visitor, id } = await member();
    await fill(id, PASSKEYS_MAX - 1);
    const late = await begin(visitor);
    const device = new PasskeyDevice(SITE);
    expect((await add(visitor, device)).status).toBe(303);
    const page = await settingsOf(visitor);
    expect(removals(page)).toHaveLength(PASSKEYS_MAX);
    expect(page).toContain("You have 10 passkeys, which is the most.");
    expect((await begin(visitor)).status).toBe(422);
    expect(late.status).toBe(200);

    // Begun twice while one was left.
    const [removal = ""] = removals(page);
    await visitor.post(removal);
    const { options } = await begin(visitor);
    await fill(id, 1);
    const refused = await finish(visitor, await new PasskeyDevice(SITE).make(options));
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain("which is the most");
    expect(removals(await settingsOf(visitor))).toHaveLength(PASSKEYS_MAX);
  });

  it("cannot be the eleventh when two are added at the same time", async () => {
    const { email, visitor, id } = await member();
    await fill(id, PASSKEYS_MAX - 1);
    const second = visit();
    await second.post("/sign-in", { email, password: PASSWORD });
    const begun = [visitor, second].map(async (browser) => {
      const { options } = await begin(browser);
      return { browser, credential: await new PasskeyDevice(SITE).make(options) };
    });
    const ready = await Promise.all(begun);
    const answers = await Promise.all(ready.map(({ browser, credential }) => finish(browser, credential)));
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 422]);
    expect(removals(await settingsOf(visitor))).toHaveLength(PASSKEYS_MAX);
  });

  it.each([
    ["of a device that verified nobody", { isVerified: false }],
    ["of another site", { origin: "https://evil.test" }],
    ["of another domain", { domain: "evil.test" }],
    ["that answers a sign-in", { type: "webauthn.get" }],
  ])("%s is not added", async (_, faults) => {
    const { visitor } = await member();
    const { options } = await begin(visitor);
    const refused = await finish(visitor, await new PasskeyDevice(SITE).make(options, faults));
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain(REFUSED);
    expect(removals(await settingsOf(visitor))).toEqual([]);
  });

  it("is added once, by the user who began, with the last options", async () => {
    const [owner, other] = [await member(), await member()];
    const device = new PasskeyDevice(SITE);
    const first = await begin(owner.visitor);
    const { options } = await begin(owner.visitor);
    const credential = await device.make(options);
    expect((await finish(other.visitor, credential)).status, "nothing begun").toBe(422);
    expect((await finish(owner.visitor, await device.make(first.options))).status, "replaced").toBe(422);
    expect((await add(owner.visitor, device)).status).toBe(303);
    expect((await finish(owner.visitor, credential)).status, "used").toBe(422);
    expect((await add(other.visitor, device)).status, "another user's").toBe(422);
    expect(removals(await settingsOf(owner.visitor))).toHaveLength(1);
    expect(removals(await settingsOf(other.visitor))).toEqual([]);
  });

  it.each(["", "x", "null", "[]", "{}", '{"id":"a"}', `{"id":"${"a".repeat(2_000)}"}`])(
    "is nothing like %j",
    async (credential) => {
      const { visitor } = await member();
      await begin(visitor);
      expect((await finish(visitor, credential)).status).toBe(422);
      const stranger = visit();
      await ask(stranger);
      expect((await stranger.post("/sign-in/passkey", { credential })).status).toBe(422);
    },
  );

  it("of another user looks like an unknown one", async () => {
    const [owner, other] = [await member(), await member()];
    await add(owner.visitor, new PasskeyDevice(SITE));
    const [path = ""] = removals(await settingsOf(owner.visitor));
    const answers = [];
    for (const tried of [path.replace(/[\w-]+(?=\/remove)/, crypto.randomUUID()), path]) {
      const answer = await other.visitor.post(tried);
      answers.push([answer.status, await titleOf(answer)]);
    }
    expect(answers[0]?.[0]).toBe(404);
    expect(answers[1]).toEqual(answers[0]);
    expect((await owner.visitor.post(path, {}, "https://evil.test")).status).toBe(403);
    expect(removals(await settingsOf(owner.visitor))).toEqual([path]);
  });
});

describe("sign-in with a passkey", () => {
  it("is asked for by the browser with options that name no user", async () => {
    const visitor = visit();
    const page = await (await visitor.get("/sign-in?next=/account/credits")).text();
    expect(page).toContain('autocomplete="username webauthn"');
    expect(page).toMatch(/<form [^>]*action="\/sign-in\/passkey"[^>]*hidden/);
    const answer = await visitor.post("/sign-in/passkey/options");
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    const options = await answer.json();
    expect(options).toMatchObject({ rpId: "hub.test", userVerification: "required" });
    expect(options).not.toHaveProperty("allowCredentials");
    const [cookie = "", ...others] = answer.headers.getSetCookie();
    expect(others).toEqual([]);
    expect(cookie).toMatch(/^__Secure-gih\.passkey=.*HttpOnly/);
    expect(cookie).toContain("Max-Age=300");
    expect((await visitor.get("/sign-in/passkey")).headers.get("location")).toBe("/sign-in");
  });

  it.each([
    ["of a device that verified nobody", { isVerified: false }],
    ["of another site", { origin: "https://evil.test" }],
    ["of another domain", { domain: "evil.test" }],
    ["that makes a passkey", { type: "webauthn.create" }],
    ["that the device counted before", { counter: 1 }],
  ])("is refused with an answer %s", async (_, faults) => {
    const { visitor } = await member();
    const device = new PasskeyDevice(SITE);
    await add(visitor, device);
    await env.DB.prepare("UPDATE passkeys SET counter = 1").run();
    const stranger = visit();
    const credential = await device.use(await ask(stranger), { counter: 2, ...faults });
    const refused = await stranger.post("/sign-in/passkey", { credential });
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain(FAILED);
    expect((await stranger.get("/account")).status).toBe(303);
    const good = await device.use(await ask(stranger), { counter: 2 });
    expect((await stranger.post("/sign-in/passkey", { credential: good })).status).toBe(303);
  });

  it("is refused with the signature of another device, and with an answer that was used or is another browser's", async () => {
    const { visitor } = await member();
    const [device, thief] = [new PasskeyDevice(SITE), new PasskeyDevice(SITE)];
    await add(visitor, device);
    const stranger = visit();
    const options = await ask(stranger);
    const own = JSON.parse(await device.use(options));
    const forged = { ...JSON.parse(await thief.use(options)), id: own.id, rawId: own.rawId };
    const send = async (who: Visitor, credential: unknown) =>
      (await who.post("/sign-in/passkey", { credential: JSON.stringify(credential) })).status;
    expect(await send(stranger, forged)).toBe(422);
    expect(await send(stranger, own), "the options are used up").toBe(422);
    const answer = JSON.parse(await device.use(await ask(stranger)));
    expect(await send(visit(), answer), "another browser").toBe(422);
    expect(await send(stranger, answer)).toBe(303);
    expect(await send(stranger, answer), "used").toBe(422);
  });

  it("is refused after five minutes", async () => {
    const { visitor } = await member();
    const device = new PasskeyDevice(SITE);
    await add(visitor, device);
    const stranger = visit();
    const credential = await device.use(await ask(stranger));
    await env.DB.prepare("UPDATE verifications SET expires_at = ? WHERE value LIKE '%authentication%'")
      .bind(Date.now() - 1)
      .run();
    expect((await stranger.post("/sign-in/passkey", { credential })).status).toBe(422);
  });

  it("needs a confirmed address where a password does, and sends the link again", async () => {
    const { visitor, email, id } = await member();
    const device = new PasskeyDevice(SITE);
    await add(visitor, device);
    const mails = collectMails();
    const refused = await signIn(visit(MAIL), device);
    expect(refused.status).toBe(422);
    expect(await refused.text()).toContain("Confirm your email address first.");
    // Another test's late mail may be among them.
    const confirmation = { to: [email], subject: "Confirm your email address" };
    expect(mails).toContainEqual(expect.objectContaining(confirmation));
    await env.DB.prepare("UPDATE users SET email_verified = 1 WHERE id = ?").bind(id).run();
    expect((await signIn(visit(MAIL), device)).status).toBe(303);
  });

  it("leads a suspended user to no page, and a deleted one nowhere", async () => {
    const { visitor, id } = await member();
    const device = new PasskeyDevice(SITE);
    await add(visitor, device);
    await changeUser(env.DB, id, { suspended: true }, Date.now());
    const suspended = visit();
    await signIn(suspended, device);
    expect((await suspended.get("/account")).status).toBe(403);
    await deleteUser(env.DB, id, Date.now());
    expect((await signIn(visit(), device)).status).toBe(422);
    const { results } = await env.DB.prepare("SELECT id FROM passkeys WHERE user_id = ?").bind(id).all();
    expect(results).toEqual([]);
  });

  it.each([null, "https://evil.test"])("rejects a form from the origin %s", async (origin) => {
    for (const path of ["/sign-in/passkey", "/sign-in/passkey/options"])
      expect((await visit().post(path, {}, origin)).status).toBe(403);
  });

  it("is limited for one network", async () => {
    const visitor = visit();
    const network = visitor.headers["cf-connecting-ip"] ?? "";
    const credential = await new PasskeyDevice(SITE).use(await ask(visitor));
    const setTries = async (kind: string, count: number) =>
      await env.DB.prepare("UPDATE attempts SET count = ? WHERE key = ?")
        .bind(count, `${kind}:${network}`)
        .run();
    await setTries("in_asked", PASSKEYS_ASKED_MAX - 1);
    const asked = [];
    for (let count = 0; count < 2; count++)
      asked.push((await visitor.post("/sign-in/passkey/options")).status);
    expect(asked).toEqual([200, 429]);
    const tried = [(await visitor.post("/sign-in/passkey", { credential })).status];
    await setTries("in", SIGN_INS_PER_NETWORK_MAX - 1);
    for (let count = 0; count < 2; count++)
      tried.push((await visitor.post("/sign-in/passkey", { credential })).status);
    expect(tried).toEqual([422, 422, 429]);
  });
});

describe("a site at an IP address", () => {
  it("has no passkeys, and says where it has a name", async () => {
    const visitor = visit({ PUBLIC_BASE_URL: "http://127.0.0.1:8787" });
    const page = await (await visitor.get("/sign-in")).text();
    expect(page).not.toMatch(/passkey|webauthn/);
    await visitor.signUp();
    const settings = await settingsOf(visitor);
    expect(settings).toContain("Passkeys need a site with a domain name");
    expect(settings).toContain('href="http://localhost:8787/account/settings"');
    expect(settings).not.toContain("Name of the passkey");
    expect((await begin(visitor)).status).toBe(422);
    expect((await visitor.post("/sign-in/passkey/options")).status).toBe(404);
    expect((await visitor.post("/sign-in/passkey", { credential: "{}" })).status).toBe(404);
  });
});
