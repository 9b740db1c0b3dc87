import { Hono } from "hono";
import type { PagesEnv } from "../env.ts";
import { credits } from "./credits.tsx";
import { generations } from "./generations.tsx";
import { guard } from "./guard.ts";
import { keys } from "./keys.tsx";
import { overview } from "./overview.tsx";
import { playground } from "./playground/routes.tsx";
import { settings } from "./settings.tsx";

export const account = new Hono<PagesEnv>();

account.use("*", guard);
account.route("/", overview);
account.route("/keys", keys);
account.route("/credits", credits);
account.route("/generations", generations);
account.route("/playground", playground);
account.route("/settings", settings);
