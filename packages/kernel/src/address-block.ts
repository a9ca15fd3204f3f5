const mapped = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/iu;

/**
 * By whom an address counts wherever something is limited per address: IPv4 as it is, IPv6 by its first 64 bits, since one
 * subscriber has at least those to itself (RFC 6177 §2) and 2^64 addresses in them. What is no address counts as itself.
 * @example toAddressBlock("2001:db8::7") // "2001:db8:0:0::/64"
 */
export function toAddressBlock(address: string): string {
  const [bare = ""] = address.split("%");
  const four = mapped.exec(bare)?.[1];
  if (four !== undefined) return four;
  if (!bare.includes(":") || !URL.canParse(`http://[${bare}]/`)) return address;
  // The URL standard writes an IPv6 address in one way: no leading zeros, at most one "::", no dotted end.
  const [head = "", tail] = new URL(`http://[${bare}]/`).hostname.slice(1, -1).split("::");
  const begin = head === "" ? [] : head.split(":");
  const end = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : 8 - begin.length - end.length;
  const groups = [...begin, ...Array.from({ length: zeros }, () => "0"), ...end];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
