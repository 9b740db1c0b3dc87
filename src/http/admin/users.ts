import { Hono } from "hono";
import * as z from "zod";
import {
  accountTypes,
  changeUser,
  createUser,
  deleteUser,
  endSessions,
  findUserByEmail,
  type User,
} from "../../users/users.ts";
import { contract, json } from "../contract.ts";
import type { AppEnv } from "../env.ts";
import { ApiError, notFound } from "../errors.ts";
import { idOf, isoTime, isoTimeOrNull, listOf, named, time } from "../fields.ts";
import { audit, withUser } from "./operator.ts";

const EMAIL_LENGTH_MAX = 254;
const NAME_LENGTH_MAX = 100;
const REASON_LENGTH_MAX = 200;

const name = z
  .string()
  .trim()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .meta({ description: "The user's name, shown on the pages." });
const accountType = z.enum(accountTypes).meta({ description: "The type of the account." });
const email = z
  .string()
  .trim()
  .toLowerCase()
  .max(EMAIL_LENGTH_MAX)
  .pipe(z.email())
  .meta({
    description: "The user's e-mail address. Upper and lower case are the same.",
    documentedAs: { type: "string", format: "email", maxLength: EMAIL_LENGTH_MAX },
  });

const UserBody = z.strictObject({
  email,
  name: name.optional(),
  account_type: accountType.default("FREE"),
});

const UserChange = z
  .strictObject({
    name: name.optional(),
    account_type: accountType.optional(),
    suspended: z.boolean().optional().meta({
      description:
        "True refuses the user's keys and pages from the next request on, and ends the sessions. Accepted work goes on.",
    }),
    reason: z
      .string()
      .trim()
      .min(1)
      .max(REASON_LENGTH_MAX)
      .optional()
      .meta({ description: "Why `suspended` changes, for the log of operators' actions." }),
  })
  .refine(({ reason: _, ...change }) => Object.values(change).some((value) => value !== undefined), {
    message: "The body must have name, account_type or suspended.",
  })
  .refine(({ reason, suspended }) => reason === undefined || suspended !== undefined, {
    message: "reason needs suspended.",
    path: ["reason"],
  });

const UserQuery = z.strictObject({ email });

const UserAnswer = named("User", () =>
  z.strictObject({
    object: z.literal("user"),
    id: idOf("user"),
    email: z.string(),
    name: z.string().nullable(),
    account_type: z.enum(accountTypes),
    created_at: time,
    suspended_at: time.nullable().meta({ description: "Since when the user is suspended." }),
  }),
);

const UserList = named("UserList", () => listOf(UserAnswer));

export const USER_ID_EXAMPLE = "user_01KQGPZ8T4C5M7B2N9R6W3XYHD";

const example: z.input<typeof UserAnswer> = {
  object: "user",
  id: USER_ID_EXAMPLE,
  email: "ada@studio.test",
  name: "Ada",
  account_type: "PRO",
  created_at: "2026-04-30T07:50:00.000Z",
  suspended_at: null,
};

export const users = new Hono<AppEnv>();

users.post(
  "/users",
  contract({
    id: "createUser",
    summary: "Create a user",
    tag: "operator",
    security: "operator",
    body: {
      schema: UserBody,
      example: { email: "ada@studio.test", name: "Ada", account_type: "PRO" },
    },
    answers: { 201: json("The new user.", UserAnswer, example) },
    errors: [409],
  }),
  async (c) => {
    const { email, name = null, account_type: accountType } = c.req.valid("json");
    const user = await createUser(c.env.DB, { email, name, accountType });
    if (!user) throw new ApiError("conflict", "A user with this email exists already.", { param: "email" });
    c.set("userId", user.id);
    await audit(c, "create_user", { user_id: user.id, account_type: user.accountType });
    return c.json(renderUser(user), 201);
  },
);

users.get(
  "/users",
  contract({
    id: "findUser",
    summary: "Find a user by e-mail address",
    tag: "operator",
    security: "operator",
    query: UserQuery,
    answers: {
      200: json("The user, or an empty list.", UserList, { object: "list", data: [example] }),
    },
  }),
  async (c) => {
    const user = await findUserByEmail(c.env.DB, c.req.valid("query").email);
    return c.json({ object: "list", data: user ? [renderUser(user)] : [] });
  },
);

users.patch(
  "/users/:id",
  contract({
    id: "updateUser",
    summary: "Update a user",
    tag: "operator",
    security: "operator",
    body: { schema: UserChange, example: { account_type: "FREE" } },
    answers: { 200: json("The updated user.", UserAnswer, { ...example, account_type: "FREE" }) },
  }),
  async (c) => {
    const { name, account_type: accountType, suspended, reason } = c.req.valid("json");
    const changes = {
      ...(name === undefined ? {} : { name }),
      ...(accountType === undefined ? {} : { accountType }),
      ...(suspended === undefined ? {} : { suspended }),
    };
    const user = await changeUser(c.env.DB, c.req.param("id"), changes, Date.now());
    if (!user) throw notFound();
    c.set("userId", user.id);
    await audit(c, "change_user", {
      user_id: user.id,
      account_type: accountType ?? null,
      name_changed: name !== undefined,
      suspended: suspended ?? null,
      reason: reason ?? null,
    });
    return c.json(renderUser(user));
  },
);

users.delete(
  "/users/:id",
  withUser,
  contract({
    id: "deleteUser",
    summary: "Delete a user",
    description:
      "Deletes the address, the name, the sign-in methods and the sessions, and refuses the keys from the next request on. A job deletes all generations and images within minutes, those that still run when they have ended. The ledger stays, under the id alone. The address can sign up again, as a new user. It cannot be undone.",
    tag: "operator",
    security: "operator",
    answers: { 204: { description: "The user is deleted.", schema: null } },
  }),
  async (c) => {
    const { id } = c.var.user;
    await deleteUser(c.env.DB, id, Date.now());
    await audit(c, "delete_user", { user_id: id });
    return c.body(null, 204);
  },
);

users.delete(
  "/users/:id/sessions",
  withUser,
  contract({
    id: "endSessions",
    summary: "End a user's sessions",
    tag: "operator",
    security: "operator",
    answers: { 204: { description: "Every browser of the user has to sign in again.", schema: null } },
  }),
  async (c) => {
    const { id } = c.var.user;
    await audit(c, "end_sessions", { user_id: id, sessions: await endSessions(c.env.DB, id) });
    return c.body(null, 204);
  },
);

function renderUser(user: User): z.input<typeof UserAnswer> {
  return {
    object: "user",
    id: user.id,
    email: user.email,
    name: user.name,
    account_type: user.accountType,
    created_at: isoTime(user.createdAt.getTime()),
    suspended_at: isoTimeOrNull(user.suspendedAt),
  };
}
