import { expect, it } from "vitest";
import { createAddressCap } from "./address-cap.ts";

it("gives the addresses of one IPv6 network the places of one address, and others theirs", () => {
  const cap = createAddressCap({ inAll: 10, perAddress: 2 });
  const giveBack = cap.take("2001:db8:1:2::1");
  expect(cap.take("2001:db8:1:2:ffff::2")).toBeDefined();
  expect(cap.take("2001:db8:1:2::3")).toBeUndefined();
  expect(cap.take("2001:db8:1:3::1")).toBeDefined();
  giveBack?.();
  giveBack?.();
  expect(cap.take("2001:db8:1:2::3")).toBeDefined();
  expect(cap.taken).toBe(3);
});
