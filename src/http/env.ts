import type { Caller } from "../keys/lookup.ts";

/** What a request carries from room to room of this one: Hono's type parameter. */
export type AppEnv = {
  Bindings: Env;
  Variables: {
    requestId: string;
    /** Set by the contract of a route for callers with an API key: see `callerOf`. */
    caller: Caller | undefined;
    userId: string | undefined;
    generationId: string | undefined;
    errorCode: string | undefined;
  };
};
