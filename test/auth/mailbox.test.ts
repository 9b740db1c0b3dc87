import { expect, it } from "vitest";
import { mailboxOf } from "../../src/users/mailbox.ts";

it.each([
  ["ada@example.com", "ada@example.com"],
  ["Ada+news@Example.com", "ada@example.com"],
  ["ada+a+b@example.com", "ada@example.com"],
  ["ada.l@example.com", "ada.l@example.com"],
  ["a.d.a+x@gmail.com", "ada@gmail.com"],
  ["ada@googlemail.com", "ada@gmail.com"],
  ["+x@example.com", "@example.com"],
])("%s leads to the mailbox %s", (email, mailbox) => {
  expect(mailboxOf(email)).toBe(mailbox);
});
