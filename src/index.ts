import { DurableObject } from "cloudflare:workers";

export class Account extends DurableObject {}
export class GenerationRunner extends DurableObject {}

export default {
  async fetch() {
    return new Response("ok");
  },
  async queue() {},
} satisfies ExportedHandler;
