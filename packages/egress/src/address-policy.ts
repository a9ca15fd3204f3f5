import ipaddr from "ipaddr.js";

/** A network, as the address of its beginning and the length of its prefix in bits. */
export type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/**
 * Which addresses may be connected to.
 * `public-only`: what is routed on the internet, and the networks that the operator listed.
 * `site`: private addresses as well, for servers of one's own; loopback only when the operator says so.
 */
export type AddressPolicy =
  | { readonly kind: "public-only"; readonly alsoNetworks?: readonly Network[] }
  | { readonly kind: "site"; readonly allowsLoopback: boolean };

export type AddressVerdict =
  | { readonly kind: "allowed"; readonly address: string; readonly family: 4 | 6 }
  | { readonly kind: "refused"; readonly why: string };

const toNetwork = (text: string): Network => ipaddr.parseCIDR(text);

/** No policy and no list of an operator opens these: who answers there speaks for the machine, not for a receiver. */
const neverNetworks: readonly (readonly [Network, string])[] = [
  [toNetwork("0.0.0.0/8"), "unspecified"],
  [toNetwork("169.254.0.0/16"), "link-local"],
  [toNetwork("224.0.0.0/4"), "multicast"],
  [toNetwork("255.255.255.255/32"), "broadcast"],
  [toNetwork("::/128"), "unspecified"],
  [toNetwork("fe80::/10"), "link-local"],
  [toNetwork("ff00::/8"), "multicast"],
  // Instance metadata outside the link-local range, as the clouds document it: Alibaba, Oracle, Azure, Amazon (IPv6).
  [toNetwork("100.100.100.200/32"), "instance metadata"],
  [toNetwork("192.0.0.192/32"), "instance metadata"],
  [toNetwork("168.63.129.16/32"), "instance metadata"],
  [toNetwork("fd00:ec2::254/128"), "instance metadata"],
];

/** RFC 4291 §2.4: what is routed globally begins with 001. Everything else of IPv6 is refused or named below. */
const globalUnicast = toNetwork("2000::/3");

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, network: Network): boolean {
  const [begin, bits] = network;
  return address.kind() === begin.kind() && address.match([begin, bits]);
}

/** RFC 5214 §6.1: an interface identifier that ends in an IPv4 address to which a router tunnels. */
function carriesIsatap(address: ipaddr.IPv6): boolean {
  const [fourth = 0, fifth = 0] = address.parts.slice(4, 6);
  return (fourth === 0 || fourth === 0x0200) && fifth === 0x5efe;
}

function toRange(address: ipaddr.IPv4 | ipaddr.IPv6): string {
  if (address instanceof ipaddr.IPv4) return address.range();
  const range: string = address.range();
  if (range !== "unicast") return range;
  if (!isIn(address, globalUnicast)) return "not global unicast";
  return carriesIsatap(address) ? "isatap" : "unicast";
}

const siteRanges = new Set(["unicast", "private", "carrierGradeNat", "uniqueLocal"]);

function isAllowed(address: ipaddr.IPv4 | ipaddr.IPv6, range: string, policy: AddressPolicy): boolean {
  switch (policy.kind) {
    case "public-only":
      return range === "unicast" || (policy.alsoNetworks ?? []).some((network) => isIn(address, network));
    case "site":
      return siteRanges.has(range) || (range === "loopback" && policy.allowsLoopback);
  }
}

/** Embedded and mapped forms reach an IPv4 address under another name; nobody who answers honestly needs them. */
const embedding = new Set(["ipv4Mapped", "rfc6145", "rfc6052", "6to4", "teredo", "isatap"]);

/**
 * Whether an address, as a socket names its peer, lies in one of the networks; `any` asks only whether it is an address.
 * An IPv4 peer of an IPv6 socket is the IPv4 address that it is.
 */
export function isInNetworks(text: string, networks: readonly Network[] | "any"): boolean {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) return false;
  const address = ipaddr.process(text);
  return networks === "any" || networks.some((network) => isIn(address, network));
}

/**
 * Judges one address in its numeric form. What cannot be read is refused.
 * `address` of the answer is the one spelling to connect to.
 */
export function judgeAddress(text: string, policy: AddressPolicy): AddressVerdict {
  if (!ipaddr.IPv4.isValidFourPartDecimal(text) && !ipaddr.IPv6.isValid(text)) {
    return { kind: "refused", why: "not a numeric address" };
  }
  const address = ipaddr.parse(text);
  if (address instanceof ipaddr.IPv6 && address.zoneId !== undefined) {
    return { kind: "refused", why: "an address of one link" };
  }
  const never = neverNetworks.find(([network]) => isIn(address, network));
  if (never !== undefined) return { kind: "refused", why: never[1] };
  const range = toRange(address);
  if (embedding.has(range)) return { kind: "refused", why: `an IPv4 address in another form (${range})` };
  if (!isAllowed(address, range, policy)) return { kind: "refused", why: range };
  return { kind: "allowed", address: address.toString(), family: address.kind() === "ipv4" ? 4 : 6 };
}

/**
 * An operator's network such as `10.1.0.0/16`, or one address. The prefix must be whole: no bits set behind it.
 * @returns null for anything else, and for a network that reaches into what no list may open
 */
export function parseNetwork(text: string): Network | null {
  const isAddress = ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text);
  if (!isAddress && !ipaddr.IPv4.isValidCIDRFourPartDecimal(text) && !ipaddr.IPv6.isValidCIDR(text)) return null;
  const single = isAddress ? ipaddr.parse(text) : null;
  const network: Network = single === null ? ipaddr.parseCIDR(text) : [single, single.kind() === "ipv4" ? 32 : 128];
  const [begin, bits] = network;
  if (begin instanceof ipaddr.IPv6 && begin.zoneId !== undefined) return null;
  const bytes = begin.toByteArray();
  const isWhole = bytes.every((byte, index) => (byte & (0xff >> Math.min(8, Math.max(0, bits - index * 8)))) === 0);
  if (!isWhole) return null;
  const overlaps = neverNetworks.some(([never]) => {
    if (never[0].kind() !== begin.kind()) return false;
    return never[1] >= bits ? isIn(never[0], network) : isIn(begin, never);
  });
  return overlaps ? null : network;
}
