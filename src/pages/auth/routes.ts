import { Hono } from "hono";
import type { PagesEnv } from "../env.ts";
import { emailChange } from "./email-change.tsx";
import { passwordReset } from "./password-reset.tsx";
import { signIn } from "./sign-in.tsx";
import { signUp } from "./sign-up.tsx";

export const auth = new Hono<PagesEnv>();

auth.route("/", signIn);
auth.route("/", signUp);
auth.route("/", passwordReset);
auth.route("/", emailChange);
