import { parseNetwork } from "@fairlead/egress";
import { expect, it } from "vitest";
import { toClientAddress } from "./client-address.ts";

const trusted = ["10.0.0.0/24", "::1"].map((text) => parseNetwork(text)).filter((network) => network !== null);
const from = (remoteAddress: string, forwarded?: string) => ({
  socket: { remoteAddress },
  headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
});

it.each([
  ["nobody is trusted", from("10.0.0.1", "1.2.3.4"), [], "10.0.0.1"],
  ["the peer is no proxy", from("5.6.7.8", "1.2.3.4"), trusted, "5.6.7.8"],
  ["the proxy says nothing", from("10.0.0.1"), trusted, "10.0.0.1"],
  ["the proxy says who", from("10.0.0.1", "5.6.7.8"), trusted, "5.6.7.8"],
  ["the caller said more", from("10.0.0.1", "1.2.3.4, 5.6.7.8"), trusted, "5.6.7.8"],
  ["two proxies stand in a row", from("10.0.0.1", "1.2.3.4, 5.6.7.8, 10.0.0.2"), trusted, "5.6.7.8"],
  ["the mapped form is the same peer", from("::ffff:10.0.0.1", "5.6.7.8"), trusted, "5.6.7.8"],
  ["IPv6", from("::1", "2001:db8::5"), trusted, "2001:db8::5"],
  ["no address is said", from("10.0.0.1", "1.2.3.4, evil"), trusted, "10.0.0.1"],
  ["there are a thousand hops", from("10.0.0.1", "1.2.3.4,".repeat(1_000) + "10.0.0.3"), trusted, "1.2.3.4"],
])("A57 when %s, the caller's address is the one that was seen", (...[_when, incoming, networks, address]) => {
  expect(toClientAddress(incoming, networks)).toBe(address);
});
