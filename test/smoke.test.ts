import { env, exports } from "cloudflare:workers";
import { expect, it } from "vitest";

it("has its tables", async () => {
  const { results } = await env.DB.prepare("SELECT name FROM sqlite_master WHERE type='table'").all();
  expect(results.length).toBeGreaterThan(3);
  expect(await (await exports.default.fetch("http://x/")).text()).toBe("ok");
});
