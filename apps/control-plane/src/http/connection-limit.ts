import { toAddressBlock } from "@fairlead/kernel";
import type { Socket } from "node:net";
import { unknownAddress } from "../audit/own-decision.ts";

export interface RefusedConnection {
  readonly from: string;
  readonly why: string;
}

export interface ConnectionLimitOptions {
  readonly maxPerAddress: number;
  /** Proxies: their connections are many people's. */
  readonly isExempt: (address: string) => boolean;
  readonly onRefused: (refused: RefusedConnection) => void;
}

/** Ends a connection at once when its address has too many open; called before the handshake costs anything. */
export function createConnectionLimit(options: ConnectionLimitOptions): (socket: Socket) => void {
  const { maxPerAddress, isExempt, onRefused } = options;
  const open = new Map<string, number>();
  return (socket) => {
    const address = socket.remoteAddress ?? unknownAddress;
    if (isExempt(address)) return;
    const block = toAddressBlock(address);
    const before = open.get(block) ?? 0;
    if (before >= maxPerAddress) {
      socket.destroy();
      onRefused({ from: address, why: "too many connections of one address" });
      return;
    }
    open.set(block, before + 1);
    socket.once("close", () => {
      const now = (open.get(block) ?? 1) - 1;
      if (now > 0) open.set(block, now);
      else open.delete(block);
    });
  };
}
