import type { Config } from "../config.ts";
import { log } from "../log.ts";
import { createOpenAI } from "./openai/index.ts";
import type { Provider } from "./provider.ts";
import { sketch } from "./sketch/index.ts";

/** The provider that the configuration names, or null while it lacks what that one needs. */
export function chooseProvider(config: Config): Provider | null {
  switch (config.IMAGE_PROVIDER) {
    case "sketch":
      return sketch;
    case "openai": {
      const { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseUrl } = config;
      return apiKey === undefined ? null : createOpenAI({ apiKey, baseUrl, log });
    }
  }
}
