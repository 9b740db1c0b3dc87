import { expect, it } from "vitest";
import { ConfigError, readConfig } from "../src/config.ts";
import { mayCallInsecureUrls, publicOrigin } from "../src/origin.ts";

const unset = readConfig({});

it.each([
  ["http://localhost:8787/a?b", "http://localhost:8787"],
  ["http://127.0.0.1:8787/", "http://127.0.0.1:8787"],
  ["http://127.9.9.9/", "http://127.9.9.9"],
  ["http://[::1]:8787/", "http://[::1]:8787"],
  ["http://hub.localhost/", "http://hub.localhost"],
])("%s is development: its own origin is used", (url, origin) => {
  expect(publicOrigin(unset, url)).toBe(origin);
});

it.each([
  "https://hub.example/",
  "http://localhost.evil.test/",
  "http://evil-localhost/",
  "http://128.0.0.1/",
])("%s says nothing of the origin: PUBLIC_BASE_URL must", (url) => {
  expect(() => publicOrigin(unset, url)).toThrow(ConfigError);
  expect(publicOrigin(readConfig({ PUBLIC_BASE_URL: "https://hub.example" }), url)).toBe(
    "https://hub.example",
  );
});

it.each([
  [undefined, true],
  ["http://localhost:8787", true],
  ["http://127.0.0.1:8787", true],
  ["https://hub.test", true],
  ["https://hub.example", false],
  ["https://test", false],
  ["https://hub.test.example", false],
  ["https://8.8.8.8", false],
])("with PUBLIC_BASE_URL %s insecure URLs may be allowed: %s", (PUBLIC_BASE_URL, expected) => {
  expect(mayCallInsecureUrls(readConfig({ PUBLIC_BASE_URL, ALLOW_INSECURE_URLS: "true" }))).toBe(expected);
  expect(mayCallInsecureUrls(readConfig({ PUBLIC_BASE_URL, ALLOW_INSECURE_URLS: "false" }))).toBe(false);
  expect(mayCallInsecureUrls(readConfig({ PUBLIC_BASE_URL }))).toBe(false);
});
