import type { GenerationRequest } from "../../src/account/lifecycle.ts";
import { newId } from "../../src/id.ts";

export { Account, GenerationRunner, ProviderGate } from "../../src/index.ts";

/**
 * The service's account object without the API in front of it. The object's single thread limits how many submissions
 * one account accepts, once the API's reads and the queue run on other machines.
 */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const account = env.ACCOUNT.getByName(request.headers.get("X-User") ?? "");
    const { prompt } = await request.json<{ prompt: string }>();
    const order = { id: newId("gen"), mode: "sync" as const, credits: 8, idempotency: null };
    return Response.json(await account.submit({ ...order, request: { ...REQUEST, prompt } }));
  },
} satisfies ExportedHandler<Env>;

const REQUEST: GenerationRequest = {
  model: "gpt-image-2",
  providerModel: "gpt-image-2",
  prompt: "",
  aspectRatio: "1:1",
  tier: "1K",
  size: { width: 1024, height: 1024 },
  renderQuality: "auto",
  n: 1,
  outputFormat: "png",
  outputCompression: null,
  background: "auto",
  moderation: "auto",
  endUser: null,
  references: [],
  origin: "https://images.example.com",
};
