import { Hono } from "hono";
import type { PagesEnv } from "../env.ts";
import { passwordReset } from "./password-reset.tsx";
import { signIn } from "./sign-in.tsx";
import { signUp } from "./sign-up.tsx";

export const auth = new Hono<PagesEnv>();

auth.route("/", signIn);
auth.route("/", signUp);
auth.route("/", passwordReset);
