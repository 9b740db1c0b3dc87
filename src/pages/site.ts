import { getContext } from "hono/context-storage";
import { type Config, ConfigError, readConfig } from "../config.ts";
import type { PagesEnv } from "./env.ts";

/** A deployment that names its operator and a contact. Only such a one shows terms and a privacy notice. */
type Named = Config & { OPERATOR_NAME: string; SUPPORT_EMAIL: string };

export function hasLegalPages(config: Config): config is Named {
  return config.OPERATOR_NAME !== undefined && config.SUPPORT_EMAIL !== undefined;
}

type FooterLinks = { legal: boolean; support?: string | undefined; status?: string | undefined };

/** What the operator has the footer link. Read within a request for a page; nothing on the page of a configuration error. */
export function footerLinks(): FooterLinks {
  try {
    const config = readConfig(getContext<PagesEnv>().env);
    return { legal: hasLegalPages(config), support: config.SUPPORT_EMAIL, status: config.STATUS_URL };
  } catch (error) {
    if (error instanceof ConfigError) return { legal: false };
    throw error;
  }
}
