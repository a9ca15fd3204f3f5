import { describe, expect, it } from "vitest";
import { judgeAddress, parseNetwork, type AddressPolicy, type Network } from "./address-policy.ts";

const publicOnly: AddressPolicy = { kind: "public-only" };
const site: AddressPolicy = { kind: "site", allowsLoopback: false };
const networks = (...texts: string[]) => texts.map((text) => parseNetwork(text)).filter((found) => found !== null);

/** Address, and whether `public-only` and `site` admit it. */
const addresses: readonly (readonly [string, boolean, boolean])[] = [
  ["93.184.216.34", true, true],
  ["2606:2800:220:1::1", true, true],
  ["10.0.0.1", false, true],
  ["172.31.255.255", false, true],
  ["192.168.1.1", false, true],
  ["100.64.0.1", false, true],
  ["fd12:3456::1", false, true],
  ["127.0.0.1", false, false],
  ["127.255.255.254", false, false],
  ["::1", false, false],
  ["0.0.0.0", false, false],
  ["0.1.2.3", false, false],
  ["::", false, false],
  ["169.254.169.254", false, false],
  ["fe80::1", false, false],
  ["fe80::1%eth0", false, false],
  ["2606:2800:220:1::1%eth0", false, false],
  ["224.0.0.1", false, false],
  ["ff02::1", false, false],
  ["255.255.255.255", false, false],
  ["240.0.0.1", false, false],
  ["192.0.2.1", false, false],
  ["198.18.0.1", false, false],
  ["::ffff:127.0.0.1", false, false],
  ["::ffff:93.184.216.34", false, false],
  ["::127.0.0.1", false, false],
  ["::ffff:0:127.0.0.1", false, false],
  ["64:ff9b::7f00:1", false, false],
  ["64:ff9b:1::7f00:1", false, false],
  ["2002:7f00:1::", false, false],
  ["2001:0:7f00:1::", false, false],
  ["2606:2800:220:1:0:5efe:7f00:1", false, false],
  ["2606:2800:220:1:200:5efe:7f00:1", false, false],
  ["2001:db8::1", false, false],
  ["fec0::1", false, false],
  ["100::1", false, false],
  ["4000::1", false, false],
  ["100.100.100.200", false, false],
  ["168.63.129.16", false, false],
  ["fd00:ec2::254", false, false],
  ["0177.0.0.1", false, false],
  ["2130706433", false, false],
  ["127.1", false, false],
  ["", false, false],
  ["localhost", false, false],
];

describe("judgeAddress", () => {
  it.each(addresses)("judges %s", (address, isPublic, isSite) => {
    expect(judgeAddress(address, publicOnly).kind).toBe(isPublic ? "allowed" : "refused");
    expect(judgeAddress(address, site).kind).toBe(isSite ? "allowed" : "refused");
  });

  it("admits loopback in a site only when the policy says so", () => {
    const open: AddressPolicy = { kind: "site", allowsLoopback: true };
    expect(judgeAddress("127.0.0.1", open)).toEqual({ kind: "allowed", address: "127.0.0.1", family: 4 });
    expect(judgeAddress("::1", open)).toEqual({ kind: "allowed", address: "::1", family: 6 });
    expect(judgeAddress("::ffff:127.0.0.1", open).kind).toBe("refused");
  });

  it("admits an operator's networks beside the public ones, and nothing next to them", () => {
    const policy: AddressPolicy = { kind: "public-only", alsoNetworks: networks("10.1.0.0/16", "fd12::/64") };
    for (const inside of ["10.1.0.1", "10.1.255.255", "fd12::5"])
      expect(judgeAddress(inside, policy).kind).toBe("allowed");
    for (const outside of ["10.2.0.1", "10.0.255.255", "fd12:0:0:1::1", "::ffff:10.1.0.1", "127.0.0.1"])
      expect(judgeAddress(outside, policy).kind, outside).toBe("refused");
  });

  it("refuses link-local and metadata although an operator's list was made to hold them", () => {
    const everything = [...networks("10.0.0.0/8"), ...networks("128.0.0.0/2")].map(
      ([begin]) => [begin, 0] as unknown as Network,
    );
    const policy: AddressPolicy = { kind: "public-only", alsoNetworks: everything };
    expect(judgeAddress("10.0.0.1", policy).kind).toBe("allowed");
    for (const never of ["169.254.169.254", "0.0.0.0", "224.0.0.1", "100.100.100.200"])
      expect(judgeAddress(never, policy).kind, never).toBe("refused");
  });
});

describe("parseNetwork", () => {
  it.each(["10.1.0.0/16", "127.0.0.1/32", "127.0.0.1", "192.168.1.7", "fd12::/64", "::1", "::1/128"])(
    "reads %s",
    (text) => expect(parseNetwork(text)).not.toBeNull(),
  );

  it.each([
    "10.1.0.1/16",
    "fd12::1/64",
    "0.0.0.0/0",
    "::/0",
    "169.254.0.0/16",
    "169.254.169.254",
    "169.254.169.0/24",
    "160.0.0.0/4",
    "fe80::1",
    "224.0.0.0/8",
    "100.64.0.0/10",
    "10.0.0.0/33",
    "10.0/8",
    "10.1.0.0/16 ",
    "localhost",
    "",
  ])("refuses %s", (text) => expect(parseNetwork(text)).toBeNull());
});
