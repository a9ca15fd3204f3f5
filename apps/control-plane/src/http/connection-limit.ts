import type { Socket } from "node:net";

export interface ConnectionLimitOptions {
  readonly maxPerAddress: number;
  /** Proxies: their connections are many people's. */
  readonly isExempt: (address: string) => boolean;
}

/** Ends a connection at once when its address has too many open; called before the handshake costs anything. */
export function createConnectionLimit({ maxPerAddress, isExempt }: ConnectionLimitOptions): (socket: Socket) => void {
  const open = new Map<string, number>();
  return (socket) => {
    const address = socket.remoteAddress ?? "";
    if (isExempt(address)) return;
    const before = open.get(address) ?? 0;
    if (before >= maxPerAddress) {
      socket.destroy();
      return;
    }
    open.set(address, before + 1);
    socket.once("close", () => {
      const now = (open.get(address) ?? 1) - 1;
      if (now > 0) open.set(address, now);
      else open.delete(address);
    });
  };
}
