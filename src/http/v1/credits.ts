import { Hono } from "hono";
import { authenticate } from "../authenticate.ts";
import type { AppEnv } from "../env.ts";
import { renderBalance } from "./render.ts";

export const credits = new Hono<AppEnv>();

credits.get("/credits", async (c) => {
  const caller = await authenticate(c);
  const balance = await c.env.ACCOUNT.getByName(caller.userId).balance();
  return c.json({ object: "credit_balance", ...renderBalance(balance, caller.accountType) });
});
