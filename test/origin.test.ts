import { expect, it } from "vitest";
import { ConfigError, readConfig } from "../src/config.ts";
import { publicOrigin } from "../src/origin.ts";

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
