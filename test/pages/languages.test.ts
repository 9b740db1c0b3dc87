import { env } from "cloudflare:workers";
import { isValidElement } from "hono/jsx";
import { describe, expect, it } from "vitest";
import copy from "../../public/assets/copy.js?raw";
import passkeys from "../../public/assets/passkeys.js?raw";
import preview from "../../public/assets/playground/preview.js?raw";
import references from "../../public/assets/playground/references.js?raw";
import stage from "../../public/assets/playground/stage.js?raw";
import playground from "../../public/assets/playground.js?raw";
import progress from "../../public/assets/progress.js?raw";
import times from "../../public/assets/times.js?raw";
import { listPurchases } from "../../src/billing/purchases.ts";
import { newId } from "../../src/id.ts";
import { english, type Texts } from "../../src/pages/texts/english.tsx";
import { LANGUAGES } from "../../src/pages/texts/language.ts";
import { turkish } from "../../src/pages/texts/turkish.tsx";
import { atPaymentPage, deliver, eventsOf, STRIPE } from "../billing/shop.ts";
import { findUser, newEmail, PASSWORD, SITE, Visitor, visit } from "./visitor.ts";

/** Stands for the values of a text. A number becomes "NaN". */
const VALUE = "\u0001";

/** Each text by its path. A function is called with {@link VALUE}. */
function textsIn(value: unknown, path: string): [string, string][] {
  if (typeof value === "string") return [[path, value]];
  if (typeof value === "function") return textsIn(value(VALUE, VALUE, VALUE), path);
  if (isValidElement(value)) return [[path, String(value)]];
  if (Array.isArray(value)) return value.flatMap((one, at) => textsIn(one, `${path}.${at}`));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([name, one]) => textsIn(one, `${path}.${name}`));
  throw new Error(`${path} is not a text.`);
}

function allTexts({ format, lang, name, paths, ...texts }: Texts) {
  return textsIn(texts, "texts");
}

const PHRASE_LENGTH_MIN = 8;

/** What is always the same of texts, without tags and values, if it is long enough to be recognized. */
function phrasesOf(texts: Texts): Set<string> {
  const phrases = allTexts(texts).flatMap(([, text]) =>
    text.split(new RegExp(`${VALUE}|NaN|undefined|<[^>]*>|\\{\\w+\\}|GPT Image Hub|[()“”]`)),
  );
  return new Set(
    phrases.map((phrase) => phrase.trim()).filter((phrase) => phrase.length >= PHRASE_LENGTH_MIN),
  );
}

const scripts = [copy, passkeys, playground, preview, progress, references, stage, times];

describe("the texts", () => {
  it.each(LANGUAGES.map((texts) => [texts.name, texts] as const))("in %s are not empty", (_, texts) => {
    const all = allTexts(texts);
    expect(all.length).toBeGreaterThan(300);
    expect(all.filter(([, text]) => text.trim() === "" || text.includes("[object"))).toEqual([]);
  });

  it("have the same paths in each language, and a long text is translated", () => {
    const [own, other] = [allTexts(english), allTexts(turkish)];
    expect(other.map(([path]) => path)).toEqual(own.map(([path]) => path));
    const known = new Set(other.map(([, text]) => text));
    expect(own.filter(([, text]) => text.length > 12 && known.has(text))).toEqual([]);
  });

  it("of the scripts are those that the scripts use", () => {
    const used = scripts.flatMap((script) =>
      [...script.matchAll(/textOf\(([^{}]*?)[,)]/g)].flatMap(([, argument = ""]) =>
        Array.from(argument.matchAll(/"(\w+)"/g), ([, name]) => name),
      ),
    );
    expect([...new Set(used)].sort()).toEqual(Object.keys(english.scripts).sort());
  });
});

describe("the language of a page", () => {
  const langOf = async (response: Response) => /<html lang="(\w+)">/.exec(await response.text())?.[1];

  it.each([
    [null, "en"],
    ["tr", "tr"],
    ["tr-TR,tr;q=0.9,en;q=0.8", "tr"],
    ["en-US,en;q=0.9,tr;q=0.8", "en"],
    ["fr,tr;q=0.5", "tr"],
    ["fr", "en"],
    ["__proto__", "en"],
  ])("with Accept-Language %s is %s", async (accepted, lang) => {
    const visitor = new Visitor();
    if (accepted !== null) visitor.headers = { ...visitor.headers, "accept-language": accepted };
    expect(await langOf(await visitor.get("/sign-in"))).toBe(lang);
  });

  it("is kept in a cookie, which comes before Accept-Language", async () => {
    const visitor = new Visitor();
    visitor.headers = {
      ...visitor.headers,
      "accept-language": "en",
      referer: `${SITE}/sign-in?next=/account`,
    };
    const answer = await visitor.get("/language/tr");
    expect([answer.status, answer.headers.get("location")]).toEqual([303, `${SITE}/sign-in?next=/account`]);
    expect(answer.headers.get("cache-control")).toBe("private, no-store");
    expect(answer.headers.getSetCookie()).toEqual([
      "gih.language=tr; Max-Age=31536000; Path=/; HttpOnly; Secure; SameSite=Lax",
    ]);
    expect(await langOf(await visitor.get("/sign-in"))).toBe("tr");
    await visitor.get("/language/en");
    expect(await langOf(await visitor.get("/sign-in"))).toBe("en");
  });

  it.each([
    ["/", "/tr"],
    ["/docs", "/tr/docs"],
    ["/tr/docs", "/tr/docs"],
    ["/docs/reference", "/docs/reference"],
    ["//evil.test/", "//evil.test/"],
  ])("is chosen on %s, and the visitor comes back to %s", async (from, to) => {
    const visitor = new Visitor();
    visitor.headers = { ...visitor.headers, referer: `${SITE}${from}` };
    expect((await visitor.get("/language/tr")).headers.get("location")).toBe(`${SITE}${to}`);
  });

  it.each([
    ["", "/sign-up"],
    ["https://evil.test/", "/sign-up"],
    ["https://evil.test/", ""],
    ["https://evil.test/", "//evil.test/"],
    ["https://evil.test/", "https://evil.test/"],
    ["javascript:alert(1)", "javascript:alert(1)"],
    ["not a URL", "https://"],
  ])("leads from %s with next=%s to a page of this site only", async (referer, next) => {
    const visitor = new Visitor();
    visitor.headers = { ...visitor.headers, referer };
    const query = next === "" ? "" : `?next=${encodeURIComponent(next)}`;
    const location = (await visitor.get(`/language/tr${query}`)).headers.get("location");
    expect(location).toBe(`${SITE}${next === "/sign-up" ? "/sign-up" : "/tr"}`);
  });

  it("is kept for the mails of a user: at the sign-up, and when the user chooses", async () => {
    const stored = async (email: string) => (await findUser(email))?.language;
    const visitor = turk();
    const email = await visitor.signUp();
    expect(await stored(email)).toBe("tr");
    await visitor.get("/language/en");
    expect(await stored(email)).toBe("en");
    await visitor.get("/language/fr");
    expect(await stored(email)).toBe("en");
    const english = await visit().signUp();
    expect(await stored(english)).toBe("en");
    await visitor.post("/sign-out");
    const answer = await visitor.get("/language/tr");
    expect(answer.status).toBe(303);
    expect([await stored(email), await stored(english)]).toEqual(["en", "en"]);
    visitor.headers = { ...visitor.headers, cookie: "__Secure-gih.session_token=forged.token" };
    expect((await visitor.get("/language/tr")).status).toBe(303);
  });

  it("is one that exists", async () => {
    const answer = await new Visitor().get("/language/fr");
    expect([answer.status, answer.headers.getSetCookie()]).toEqual([404, []]);
  });

  it.each(LANGUAGES.map((texts) => [texts.paths.home, texts] as const))(
    "of the landing page at %s is its address's, for every visitor",
    async (path, texts) => {
      const visitor = new Visitor();
      visitor.headers = { ...visitor.headers, "accept-language": texts === english ? "tr" : "en" };
      const response = await visitor.get(path);
      expect(response.headers.get("cache-control")).toBe("public, max-age=300");
      expect(response.headers.getSetCookie()).toEqual([]);
      const page = await response.text();
      expect(page).toContain(`<html lang="${texts.lang}">`);
      expect(page).toContain(texts.landing.heading);
      for (const { lang, paths } of LANGUAGES) {
        expect(page).toContain(`<link rel="alternate" hreflang="${lang}" href="${SITE}${paths.home}"/>`);
      }
    },
  );
});

const ENGLISH = [...phrasesOf(english)].filter((phrase) => !phrasesOf(turkish).has(phrase));

/** Checks that a page is in Turkish: its language, and that it has none of the English texts. */
async function expectTurkish(response: Response, status = 200) {
  const page = await response.text();
  expect(response.status, page).toBe(status);
  expect(page).toContain('<html lang="tr">');
  const main = page.slice(page.indexOf("<body>")).replace(/<pre.*?<\/pre>/gs, "");
  expect(ENGLISH.filter((phrase) => main.includes(phrase))).toEqual([]);
}

function turk(settings: Record<string, string> = {}) {
  const visitor = visit(settings);
  visitor.headers = { ...visitor.headers, "accept-language": "tr-TR,tr;q=0.9,en;q=0.8" };
  return visitor;
}

/** A signed-in user with credits, a key and a generation. */
async function turkishMember() {
  const visitor = turk();
  const email = await visitor.signUp();
  const user = await findUser(email);
  if (!user) throw new Error("The sign-up failed.");
  const account = env.ACCOUNT.getByName(user.id);
  await account.grant("signup", 1_200, null, "Welcome");
  await account.grant("later", 300, Date.now() + 5 * 86_400_000, null);
  const made = await visitor.post("/account/keys", { name: "dükkan", expires: "30", mode: "live" });
  const id = /\/account\/keys\/(key_\w+)/.exec(await (await visitor.get("/account/keys")).text())?.[1] ?? "";
  const answer = await visitor.post("/account/playground", { prompt: "bir deniz feneri" });
  return { visitor, email, account, made, key: id, generation: answer.headers.get("location") ?? "" };
}

describe("in Turkish", () => {
  it("English texts are found where there are any", async () => {
    expect(ENGLISH.length).toBeGreaterThan(250);
    await expect(expectTurkish(await new Visitor().get("/sign-in"))).rejects.toThrow();
    const english = await (await new Visitor().get("/sign-in")).text();
    expect(ENGLISH.filter((phrase) => english.includes(phrase)).length).toBeGreaterThan(5);
  });

  it.each(["/tr", "/sign-in", "/sign-in?next=/account&error=x", "/sign-up", "/reset-password?token=x"])(
    "%s has no English text",
    async (path) => {
      await expectTurkish(await turk().get(path));
    },
  );

  it.each([
    ["/sign-in", { email: "x" }],
    ["/sign-in", { email: "ada@example.com" }],
    ["/sign-in", { email: "unknown@example.com", password: PASSWORD }],
    ["/sign-up", { email: "x" }],
    ["/sign-up", { email: "ada@example.com", password: "short" }],
    ["/sign-up", { email: "ada@example.com", password: "x".repeat(129) }],
    ["/reset-password", { token: "x", password: PASSWORD }],
  ])("the errors of %s with %j have no English text", async (path, fields) => {
    await expectTurkish(await turk().post(path, fields), 422);
  });

  it("errors and missing pages have no English text", async () => {
    await expectTurkish(await turk().get("/nothing"), 404);
    await expectTurkish(await turk().get("/forgot-password"), 503);
    await expectTurkish(await turk().post("/sign-in", {}, "https://evil.test"), 403);
    await expectTurkish(await turk().upload("/sign-in", "x"), 400);
    const { visitor, key } = await turkishMember();
    await expectTurkish(await visitor.get("/account/generations/gen_x"), 404);
    await expectTurkish(await visitor.get("/account/keys/key_x"), 404);
    await expectTurkish(await visitor.get("/account/generations/images.zip"), 400);
    await expectTurkish(await visitor.post(`/account/keys/${key}`, { name: "" }), 422);
  });

  it("the pages of an account have no English text", async () => {
    const { visitor, made, key, generation } = await turkishMember();
    await expectTurkish(made);
    for (const path of [
      ...["/account", "/account?welcome=1", "/account/playground", "/account/generations"],
      ...[
        "/account/generations?q=x",
        "/account/keys?revoked=1",
        `/account/keys/${key}`,
        `/account/keys/${key}/revoke`,
      ],
      ...["/account/credits", "/account/credits?usage=key", "/account/settings", "/account/settings?done=1"],
      ...[generation, `/account/playground?from=${generation.split("/").at(-1)}`],
    ]) {
      await expectTurkish(await visitor.get(path));
    }
  });

  it("numbers, dates and states are written in Turkish", async () => {
    const { visitor, generation } = await turkishMember();
    const credits = await (await visitor.get("/account/credits")).text();
    expect(credits).toContain("<td>Hoş geldiniz hediyesi</td>");
    expect(credits).toMatch(/1\.\d{3} <span>kredi kaldı<\/span>/);
    expect(credits).toMatch(
      /<time datetime="[^"]+">\d+ (Oca|Şub|Mar|Nis|May|Haz|Tem|Ağu|Eyl|Eki|Kas|Ara) \d{4}/,
    );
    await visitor.post(`${generation}/cancel`);
    const state: unknown = await (await visitor.get(`${generation}/state`)).json();
    expect(state).toMatchObject({ status: expect.stringMatching(/canceled|succeeded|processing/) });
  });

  it("the errors of an account's forms have no English text", async () => {
    const { visitor } = await turkishMember();
    for (const [path, fields] of [
      ["/account/keys", { name: "" }],
      ["/account/keys", { name: "x".repeat(101), mode: "x", expires: "x" }],
      ["/account/keys", { name: "x", expires: "7", terms: "1" }],
      ["/account/keys", { name: "x", expires: "7", terms: "1", scope_read: "on", limit: "x", period: "x" }],
      ["/account/playground", { prompt: "" }],
      ["/account/playground", { prompt: "x".repeat(33_000) }],
      ["/account/settings/password", {}],
      ["/account/settings/password", { current: "x", password: PASSWORD }],
      ["/account/settings/delete", { delete_confirmation: "x" }],
    ] as const) {
      await expectTurkish(await visitor.post(path, { ...fields }), 422);
    }
    await expectTurkish(await visitor.post("/account/credits/buy", { pack: "x" }), 404);
    await expectTurkish(await visitor.post("/account/settings/delete", { delete_confirmation: PASSWORD }));
  });

  it("what the API refuses in the playground has no English text", async () => {
    const { visitor } = await turkishMember();
    visitor.headers = { ...visitor.headers, accept: "application/json" };
    const refusals = [
      await visitor.post("/account/playground", { prompt: "x", resolution: "9K" }),
      await visitor.post("/account/playground", { prompt: "x", aspect_ratio: "1x1" }),
      await visitor.post("/account/playground", { prompt: "x", quality: "best" }),
      await visitor.post("/account/playground", { prompt: "x", n: "9" }),
      await visitor.post("/account/playground", { prompt: "x", output_format: "gif" }),
      await visitor.post("/account/playground", { prompt: "x", references: newId("ref") }),
      await visitor.get("/account/playground/preview?aspect_ratio=1x1"),
      await visitor.upload("/account/playground/references", "no image"),
    ];
    for (const answer of refusals) {
      const text = await answer.text();
      expect(answer.status, text).toBe(422);
      expect(text).toMatch(/kullanılamıyor/);
      expect(text).not.toMatch(/\b(is|must|the|of|or|image)\b/i);
    }
  });

  it("a user without credits is told how to get some", async () => {
    const visitor = turk();
    await visitor.post("/sign-up", { email: newEmail(), password: PASSWORD });
    for (const path of ["/account", "/account/playground", "/account/generations", "/account/keys"]) {
      await expectTurkish(await visitor.get(path));
    }
    await expectTurkish(await visitor.post("/account/playground", { prompt: "x" }), 402);
  });

  it("buying has no English text", async () => {
    const visitor = turk(STRIPE);
    const user = await findUser(await visitor.signUp());
    await expectTurkish(await visitor.get("/account/credits"));
    await visitor.post("/account/credits/buy", { pack: "starter" });
    const [purchase] = await listPurchases(env.DB, user?.id ?? "");
    const back = `/account/credits?purchase=${purchase?.id}`;
    await expectTurkish(await visitor.get(back));
    await expectTurkish(await visitor.get(`${back}&canceled=1`));
    await atPaymentPage(purchase?.sessionId ?? "", "pay");
    for (const event of await eventsOf(purchase?.id ?? "")) await deliver(event);
    const paid = await visitor.get(back);
    expect(await paid.clone().text()).toContain("Teşekkürler. 5.000 kredi eklendi.");
    await expectTurkish(paid);
  });
});
