import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/config.ts";
import { routesFor } from "../../src/dispatch/routes.ts";

const openai = () => readConfig({ IMAGE_PROVIDER: "openai", OPENAI_API_KEY: "sk-test" });

describe("the routes of a model", () => {
  it("are created once for each configuration", () => {
    const config = openai();
    const routes = routesFor("gpt-image-2", config);
    expect(routes.map(({ name, providerModel }) => [name, providerModel])).toContainEqual([
      "openai",
      "gpt-image-2",
    ]);
    expect(routesFor("gpt-image-2", config)).toBe(routes);
    expect(routesFor("gpt-image-2", openai())).not.toBe(routes);
  });

  it("are that of the built-in provider where it is configured, and none for an unknown model", () => {
    const config = readConfig({ IMAGE_PROVIDER: "sketch" });
    expect(routesFor("gpt-image-2", config)).toMatchObject([{ name: "sketch", gate: null }]);
    expect(routesFor("no-such-model", config)).toEqual([]);
  });
});
