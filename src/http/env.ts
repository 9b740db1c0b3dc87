/** What a request carries from room to room of this one: Hono's type parameter. */
export type AppEnv = {
  Bindings: Env;
  Variables: {
    requestId: string;
    userId: string | undefined;
    generationId: string | undefined;
    errorCode: string | undefined;
  };
};
