/**
 * Which URLs of a caller the service may call: webhooks, references by URL, and each redirect of either. Pure: no
 * look-up of names. A public name that resolves to an inner address is left to the network: Workers reach public
 * addresses only.
 */
import { isLoopback } from "../origin.ts";

export const URL_LENGTH_MAX = 2_048;

/** `reason` is the rest of a sentence that begins with the name of the field, or with "it": `must be an https URL`. */
export type UrlCheck = { kind: "allowed"; url: URL } | { kind: "refused"; reason: string };

/**
 * Checks a URL as a caller sent it. The parsed `url` is the one to call, so that no second parser reads the text.
 * The parser normalizes every spelling of an IPv4 address (decimal, octal, hex, short, percent-encoded, full-width) and
 * of an IPv6 one, in workerd as in Node.
 * @param allowInsecure development only: also http, and loopback hosts at any port
 */
export function checkUrl(text: string, allowInsecure: boolean): UrlCheck {
  if (text.length > URL_LENGTH_MAX) return refused(`must be at most ${URL_LENGTH_MAX} characters long`);
  // The parser silently drops or replaces these.
  if (/[\p{Cc} \\]/u.test(text)) return refused("must not contain spaces, control characters or backslashes");
  const [, scheme = "", authority = ""] = /^(https?):\/\/([^/?#]+)/i.exec(text) ?? [];
  const isHttps = scheme.toLowerCase() === "https";
  if (authority === "" || !(isHttps || allowInsecure)) return refused("must be an https URL");
  if (authority.includes("@")) return refused("must not contain a user name or password");
  const url = parse(text);
  if (url === null) return refused("must be a valid URL");
  if (allowInsecure && isLoopback(url.href)) return { kind: "allowed", url };
  const reason = hostFault(url.hostname) ?? portFault(url);
  return reason === null ? { kind: "allowed", url } : refused(reason);
}

function refused(reason: string): UrlCheck {
  return { kind: "refused", reason };
}

function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

const PRIVATE_ADDRESS = "must not name a private, local or reserved IP address";
const PRIVATE_NAME = "must name a public host";

function hostFault(host: string): string | null {
  if (host.startsWith("[")) return isPublicIPv6(host.slice(1, -1)) ? null : PRIVATE_ADDRESS;
  if (/^\d+(\.\d+){3}$/.test(host)) return isPublicIPv4(host) ? null : PRIVATE_ADDRESS;
  return isPublicName(host) ? null : PRIVATE_NAME;
}

/**
 * Last labels that no public name has: RFC 6761 and 6762, ICANN's resolution on `.internal`, RFC 8375, and names that
 * are common in private networks.
 */
const PRIVATE_SUFFIXES = new Set([
  ...["localhost", "local", "internal", "localdomain", "home", "lan", "corp", "intranet", "private"],
  ...["arpa", "onion"],
]);

/** Metadata services of clouds that have a public name. */
const METADATA_NAMES = new Set([
  ...["metadata.goog", "metadata.tencentyun.com", "metadata.oraclecloud.com"],
  ...["metadata.packet.net", "metadata.platformequinix.com"],
]);

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** @param host in lower case and in ASCII, as the parser gives it */
function isPublicName(host: string): boolean {
  const labels = host.split(".");
  const isWellFormed = host.length <= 253 && labels.length > 1 && labels.every((label) => LABEL.test(label));
  if (!isWellFormed || PRIVATE_SUFFIXES.has(labels.at(-1) ?? "")) return false;
  return ![...METADATA_NAMES].some((name) => host === name || host.endsWith(`.${name}`));
}

/** IANA's IPv4 special-purpose registry, multicast, and the address of Azure's host services. */
const RESERVED_IPV4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
];

function isPublicIPv4(address: string): boolean {
  const number = numberOf(address);
  return !RESERVED_IPV4.some(([base, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(number / size) === Math.floor(numberOf(base) / size);
  });
}

function numberOf(address: string): number {
  return address.split(".").reduce((number, byte) => number * 256 + Number(byte), 0);
}

/**
 * Only global unicast (2000::/3, RFC 4291) is public, without IANA's special-purpose ranges in it. So addresses that
 * hold an IPv4 address are refused, whichever it is: mapped and compatible ones, NAT64, 6to4 and Teredo.
 */
function isPublicIPv6(address: string): boolean {
  const [first = 0, second = 0] = groupsOf(address);
  if (first < 0x2000 || first > 0x3fff) return false;
  // 2001::/23 for protocols, Teredo among them; 2001:db8::/32 and 3fff::/20 for documentation; 2002::/16 is 6to4.
  if (first === 0x2001) return second >= 0x200 && second !== 0xdb8;
  return first !== 0x2002 && !(first === 0x3fff && second < 0x1000);
}

/** The 16-bit groups of an address as the parser writes it. */
function groupsOf(address: string): number[] {
  const [head = [], tail = []] = address
    .split("::")
    .map((part) => (part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16))));
  return [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => 0), ...tail];
}

/** Ports from 1024 on that the Fetch Standard blocks: services that act on what they take for a command. */
const BLOCKED_PORTS = new Set([
  ...[1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679],
  ...[6697, 10080],
]);

/** The scheme's own port, or one that needs no privilege: below 1024 are the services of systems. */
function portFault({ port }: URL): string | null {
  const number = Number(port);
  if (port === "" || number === 443) return null;
  return number >= 1024 && !BLOCKED_PORTS.has(number) ? null : "must use port 443 or one from 1024 on";
}
