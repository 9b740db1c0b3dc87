import type { Config } from "../config.ts";
import type { Provider } from "./provider.ts";
import { sketch } from "./sketch/index.ts";

/** The provider that the configuration names, or null while it lacks what that one needs. */
export function chooseProvider(config: Config): Provider | null {
  switch (config.IMAGE_PROVIDER) {
    case "sketch":
      return sketch;
    case "openai":
      return null;
  }
}
