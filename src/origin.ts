import { type Config, ConfigError } from "./config.ts";

/**
 * The public scheme and host of the service: `PUBLIC_BASE_URL`. URLs that are stored, mailed or shown on a page are
 * built from it. Without it, only a loopback host is accepted (development): the Host header of any other request is
 * chosen by the client and must not end up in a link.
 * @throws {ConfigError} which becomes a 503
 */
export function publicOrigin({ PUBLIC_BASE_URL }: Config, requestUrl: string): string {
  if (PUBLIC_BASE_URL !== undefined) return PUBLIC_BASE_URL;
  const { origin } = new URL(requestUrl);
  if (isLoopback(origin)) return origin;
  throw new ConfigError("PUBLIC_BASE_URL is not set. It is required on every host but a loopback one.");
}

/** Whether a URL's host is this machine (RFC 6761, section 6.3; RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3). */
export function isLoopback(url: string): boolean {
  return /^((.+\.)?localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

/**
 * Whether URLs of callers may be http, or name a loopback host: `ALLOW_INSECURE_URLS`, which counts in development only.
 */
export function mayCallInsecureUrls(config: Config): boolean {
  return config.ALLOW_INSECURE_URLS && isDevelopment(config);
}

/** Whether `PUBLIC_BASE_URL` is no public address. `.test` never is one (RFC 6761, section 6.2). */
export function isDevelopment({ PUBLIC_BASE_URL }: Config): boolean {
  return (
    PUBLIC_BASE_URL === undefined ||
    isLoopback(PUBLIC_BASE_URL) ||
    new URL(PUBLIC_BASE_URL).hostname.endsWith(".test")
  );
}
