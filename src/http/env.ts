import type { Caller } from "../keys/lookup.ts";

/** Hono's type parameter: the bindings, and the variables that middleware and handlers share. */
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
