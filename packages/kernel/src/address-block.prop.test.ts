import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toAddressBlock } from "./address-block.ts";

const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16));
const groups = (count: number) => fc.array(group, { minLength: count, maxLength: count });

describe("the block by which an address counts", () => {
  it("is one for all of the 2^64 addresses of a subscriber, however they are written", () => {
    fc.assert(
      fc.property(groups(4), groups(4), groups(4), (network, here, there) => {
        const first = toAddressBlock([...network, ...here].join(":"));
        const spelled = [...network, ...there].map((part) => part.padStart(4, "0").toUpperCase()).join(":");
        expect(toAddressBlock(spelled)).toBe(first);
        expect(toAddressBlock(new URL(`http://[${spelled}]/`).hostname.slice(1, -1))).toBe(first);
      }),
    );
  });

  it("is another one for another subscriber", () => {
    fc.assert(
      fc.property(groups(4), groups(4), groups(4), (network, other, here) => {
        fc.pre(network.join(":") !== other.join(":"));
        const of = (begin: readonly string[]) => toAddressBlock([...begin, ...here].join(":"));
        expect(of(network)).not.toBe(of(other));
      }),
    );
  });

  it.each([
    ["2001:db8::7", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["192.0.2.7", "192.0.2.7"],
    ["", ""],
    ["no:address", "no:address"],
  ])("of %j is %j", (address, block) => {
    expect(toAddressBlock(address)).toBe(block);
  });
});
