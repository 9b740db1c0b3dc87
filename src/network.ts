/**
 * The network by which a client's IP address is counted: an IPv4 address itself, or the /64 of an IPv6 address, because
 * one customer usually has a whole /64 (RFC 6177) and can use any address in it.
 */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [, mapped] = /^::ffff:(\d+(?:\.\d+){3})$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  const [before = "", after = ""] = address.split("::");
  const [head, tail] = [groupsOf(before), groupsOf(after)];
  const zeros = Array.from({ length: Math.max(0, GROUPS - head.length - tail.length) }, () => "0");
  const prefix = [...head, ...zeros, ...tail].slice(0, GROUPS / 2);
  return `${prefix.map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

const GROUPS = 8;

function groupsOf(text: string): string[] {
  return text === "" ? [] : text.split(":");
}
