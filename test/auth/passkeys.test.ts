import { expect, it } from "vitest";
import { passkeyDomain } from "../../src/auth/passkeys.ts";

it.each([
  ["https://hub.example.com", "hub.example.com"],
  ["https://hub.example.com:8443", "hub.example.com"],
  ["http://localhost:8787", "localhost"],
  ["https://4you.example", "4you.example"],
  ["http://127.0.0.1:8787", null],
  ["https://203.0.113.7", null],
  ["http://[::1]:8787", null],
])("passkeys of %s belong to %s", (origin, domain) => {
  expect(passkeyDomain(origin)).toBe(domain);
});
