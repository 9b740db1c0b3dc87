import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { ADMIN_TOKEN } from "../support/http.ts";
import { Visitor } from "./visitor.ts";

const HOUR_MS = 3_600_000;

async function signedIn(): Promise<Visitor> {
  const visitor = new Visitor();
  const answer = await visitor.post("/operator/sign-in", { token: ADMIN_TOKEN });
  expect([answer.status, answer.headers.get("location")]).toEqual([303, "/operator"]);
  return visitor;
}

describe("the operator's page", () => {
  it("asks a stranger for the token, and refuses another one", async () => {
    const visitor = new Visitor();
    const page = await (await visitor.get("/operator")).text();
    expect(page).toContain('action="/operator/sign-in"');
    expect(page).not.toContain("By model and outcome");
    for (const token of ["", "x", `${ADMIN_TOKEN}x`]) {
      const refused = await visitor.post("/operator/sign-in", { token });
      expect([refused.status, refused.headers.getSetCookie()]).toEqual([422, []]);
    }
    expect(
      (await visitor.post("/operator/sign-in", { token: ADMIN_TOKEN }, "https://evil.test")).status,
    ).toBe(403);
  });

  it("keeps a session in a cookie of these pages that does not contain the token, until one signs out", async () => {
    const visitor = new Visitor();
    const answer = await visitor.post("/operator/sign-in", { token: ADMIN_TOKEN });
    const [cookie = ""] = answer.headers.getSetCookie();
    expect(cookie).toContain("Path=/operator; HttpOnly; Secure; SameSite=Strict");
    expect(cookie).not.toContain(ADMIN_TOKEN);
    expect(await (await visitor.get("/operator")).text()).toContain("By model and outcome");
    expect((await visitor.post("/operator/sign-out")).status).toBe(303);
    expect(await (await visitor.get("/operator")).text()).toContain('action="/operator/sign-in"');
  });

  it("takes no cookie that was not signed, or that was signed for another time", async () => {
    const signed = await signedIn();
    const [name = "", value = ""] = (signed.cookies.get("gih_operator") ?? "").split(".");
    const later = String(Number(name) + HOUR_MS);
    for (const forged of [later, `${later}.${value}`, "9999999999999", ""]) {
      const visitor = new Visitor();
      visitor.headers = { ...visitor.headers, cookie: `gih_operator=${forged}` };
      expect(await (await visitor.get("/operator")).text(), forged).toContain('action="/operator/sign-in"');
    }
  });

  it.each(["hour", "day", "month", "constructor"])("shows figures of the window %s", async (window) => {
    const now = Date.now();
    await env.LOG.prepare(
      `INSERT OR REPLACE INTO generation_totals VALUES (?, 'flux-2-pro', 'failed', 'generationFailed', 7, 0, 56, 56, 9000)`,
    )
      .bind(now - (now % 300_000))
      .run();
    const response = await (await signedIn()).get(`/operator?window=${window}`);
    const page = await response.text();
    expect(response.headers.get("cache-control")).toBe("private, no-store");
    expect(page).toContain(
      "<td>flux-2-pro</td><td><code>generationFailed</code></td><td>7</td><td>0</td><td>0</td>",
    );
    expect(page).toContain("Refunded: 56");
    expect(page).toContain("No alert fires.");
  });
});
