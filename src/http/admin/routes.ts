import { createApp } from "../app.ts";
import { auditTrail } from "./audit.ts";
import { credits } from "./credits.ts";
import { generations } from "./generations.ts";
import { keys } from "./keys.ts";
import { margin } from "./margin.ts";
import { operatorOnly } from "./operator.ts";
import { providers } from "./providers.ts";
import { purchases } from "./purchases.ts";
import { reconcile } from "./reconcile.ts";
import { rewind } from "./rewind.ts";
import { stats } from "./stats.ts";
import { users } from "./users.ts";

const BASE = "/api/admin";

/** The operator's API. Every path requires the token, so that the existing paths are not revealed. */
export const admin = createApp();

admin.use(`${BASE}/*`, operatorOnly);
for (const resource of [
  ...[users, credits, purchases, keys, providers, generations, reconcile, rewind, margin],
  ...[stats, auditTrail],
])
  admin.route(BASE, resource);
