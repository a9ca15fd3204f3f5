import { createServer, type Server, type Socket } from "node:net";
import { createAddressCap } from "./address-cap.ts";
import type { BrokerLimits } from "./broker-options.ts";
import type { Refusal } from "./counters.ts";

/** A connection that may speak MQTT; `admit` gives back its place among the strangers. */
export interface Visitor<Kind extends Socket> {
  readonly socket: Kind;
  readonly admit: () => void;
}

export interface DoorOptions<Kind extends Socket> {
  readonly limits: BrokerLimits;
  readonly onRefusal: (refusal: Refusal) => void;
  readonly onVisitor: (visitor: Visitor<Kind>) => void;
  /** Bytes that a socket reads ahead of whoever takes them; Node.js has 64 kB by default. */
  readonly readAheadBytes?: number;
}

export interface Door {
  readonly server: Server;
  readonly connections: number;
  /** Ends every connection that is still open. */
  destroyAll(): void;
}

/** Counts who is in, in all and per address, and how many of them are strangers still. */
export function openCountedDoor({ limits, onRefusal, onVisitor, ...options }: DoorOptions<Socket>): Door {
  const places = createAddressCap({ inAll: limits.connections, perAddress: limits.connectionsPerAddress });
  const strangers = createAddressCap({ inAll: limits.strangers, perAddress: limits.strangersPerAddress });
  const sockets = new Set<Socket>();
  const { readAheadBytes: highWaterMark } = options;
  const reading = highWaterMark === undefined ? {} : { highWaterMark };
  const server = createServer({ noDelay: true, ...reading }, (socket) => {
    const from = socket.remoteAddress ?? "";
    const leave = places.take(from);
    const admit = leave === undefined ? undefined : strangers.take(from);
    if (leave === undefined || admit === undefined) {
      leave?.();
      socket.destroy();
      onRefusal({ what: "connection", why: "too many connections", from });
      return;
    }
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      admit();
      leave();
    });
    onVisitor({ socket, admit });
  });
  return {
    server,
    get connections() {
      return sockets.size;
    },
    destroyAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}
