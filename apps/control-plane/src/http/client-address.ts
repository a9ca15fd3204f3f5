import type { IncomingMessage } from "node:http";
import { isInNetworks, type Network } from "@fairlead/egress";

/** Hops that are looked at; a header with more was made up somewhere. */
const maxHops = 16;

/**
 * Whose request it is: the socket's peer. Only when that peer is a proxy that the operator named, the header counts, read
 * from its end: each proxy appended whom it saw, so the first address that is no proxy of ours is the caller; what stands
 * before it was sent by the caller.
 */
export function toClientAddress(
  incoming: Pick<IncomingMessage, "headers"> & { readonly socket: { readonly remoteAddress?: string | undefined } },
  trustedProxies: readonly Network[],
): string {
  const peer = incoming.socket.remoteAddress ?? "";
  if (!isInNetworks(peer, trustedProxies)) return peer;
  const header = incoming.headers["x-forwarded-for"];
  const text = Array.isArray(header) ? header.join(",") : (header ?? "");
  const hops = text.split(",").map((hop) => hop.trim());
  let address = peer;
  for (const hop of hops.slice(-maxHops).toReversed()) {
    // What is no address was not written by a proxy of ours.
    if (!isInNetworks(hop, "any")) return address;
    address = hop;
    if (!isInNetworks(hop, trustedProxies)) return address;
  }
  return address;
}
