import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type TLSSocket } from "node:tls";
import { toErrorMessage } from "@fairlead/kernel";
import { createAddressCap } from "./address-cap.ts";
import { ClientHelloReader } from "./client-hello.ts";
import { openCountedDoor, type Door, type DoorOptions, type Visitor } from "./door.ts";

/** PEM texts: the broker's key and certificate, and the authority whose client certificates are admitted. */
export interface BrokerTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface TlsDoorOptions extends DoorOptions<TLSSocket> {
  readonly tls: BrokerTls;
}

export interface TlsDoor extends Door {
  /** For handshakes from now on; who is in stays. */
  setTls(tls: BrokerTls): void;
}

/** A socket whose TLS handshake is not complete. */
interface Shaking extends Visitor<Socket> {
  /** Since when it has been saying hello, waiting, or shaking hands: each has its own time. */
  sinceMs: number;
  /** Gives back the place among the strangers for whom TLS state exists. */
  release: () => void;
}

/** How often the clocks of strangers are looked at. */
const sweepMs = 100;
const doNothing = (): void => undefined;

// A resumed session would carry an older judgement of the client certificate, and its tickets cost memory.
const toSecureContext = (tls: BrokerTls) =>
  ({ ...tls, minVersion: "TLSv1.2", secureOptions: constants.SSL_OP_NO_TICKET }) as const;

/**
 * Mutual TLS. Its state costs this process 60 to 80 kB for each client, so it is not made for everybody at once: a whole
 * ClientHello of modest size must be there, and then a place must be free, which is held until CONNECT is accepted or the
 * connection ends; those who wait cost their ClientHello. What a client sends until its handshake is complete is bounded
 * too: a certificate chain may otherwise announce 100 kB and never come.
 */
export function openTlsDoor(options: TlsDoorOptions): TlsDoor {
  const { limits, onRefusal } = options;
  const tls = createServer({
    ...toSecureContext(options.tls),
    requestCert: true,
    // Judged below: the library would end such a socket without a word, and nobody would know why a device stays away.
    rejectUnauthorized: false,
    handshakeTimeout: limits.connectTimeoutMs,
  });
  const places = createAddressCap({ inAll: limits.handshakes, perAddress: limits.handshakesPerAddress });
  /** By the far end's address and port. */
  const shaking = new Map<string, Shaking>();
  /** Those who have said hello and wait for a place, the first of them first. */
  const waiting = new Set<Shaking>();
  const toKey = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;
  const end = (socket: Socket, why: string): void => {
    onRefusal({ what: "connection", why, from: socket.remoteAddress ?? "" });
    socket.destroy();
  };

  function beginNext(): void {
    for (const guest of waiting) {
      if (places.taken >= limits.handshakes) return;
      const release = places.take(guest.socket.remoteAddress ?? "");
      if (release === undefined) continue;
      waiting.delete(guest);
      guest.sinceMs = performance.now();
      guest.release = () => {
        guest.release = doNothing;
        release();
        beginNext();
      };
      tls.emit("connection", guest.socket);
    }
  }

  function hear(guest: Shaking): void {
    const { socket } = guest;
    const reader = new ClientHelloReader();
    const onError = (): void => void socket.destroy();
    const onData = (chunk: Buffer): void => {
      const hello = reader.take(chunk);
      if (hello === undefined) return;
      if ("reason" in hello) return end(socket, hello.reason);
      socket.off("data", onData).off("error", onError).pause();
      socket.once("error", onError);
      // Laid back at once: what lies there is as much as the socket may read ahead, so it reads no more while it waits.
      socket.unshift(hello);
      guest.sinceMs = performance.now();
      waiting.add(guest);
      beginNext();
    };
    socket.on("data", onData).on("error", onError);
  }

  const sweep = setInterval(() => {
    const lateMs = performance.now() - limits.connectTimeoutMs;
    for (const { socket, sinceMs } of shaking.values()) {
      if (socket.bytesRead > limits.handshakeBytes)
        end(socket, `a handshake of more than ${limits.handshakeBytes} bytes`);
      else if (sinceMs < lateMs) end(socket, "no TLS handshake in time");
    }
  }, sweepMs).unref();

  tls.on("tlsClientError", (error, socket) => {
    const from = socket.remoteAddress;
    // A socket that was ended here has no address any more, and was told of.
    if (from !== undefined) onRefusal({ what: "connection", why: `TLS: ${toErrorMessage(error)}`.slice(0, 200), from });
  });
  tls.on("secureConnection", (socket) => {
    const key = toKey(socket);
    const guest = shaking.get(key);
    shaking.delete(key);
    if (guest === undefined) return void socket.destroy();
    if (!socket.authorized) {
      const from = guest.socket.remoteAddress ?? "";
      const why = `TLS: the certificate is not accepted: ${String(socket.authorizationError)}`.slice(0, 200);
      onRefusal({ what: "connection", why, from });
      return void socket.destroy();
    }
    const admit = (): void => {
      guest.admit();
      guest.release();
    };
    options.onVisitor({ socket, admit });
  });

  const door = openCountedDoor({
    ...{ limits, onRefusal, readAheadBytes: 1 },
    onVisitor: ({ socket, admit }) => {
      const key = toKey(socket);
      const guest: Shaking = { socket, admit, sinceMs: performance.now(), release: doNothing };
      shaking.set(key, guest);
      socket.once("close", () => {
        waiting.delete(guest);
        if (shaking.get(key) === guest) shaking.delete(key);
        guest.release();
      });
      hear(guest);
    },
  });
  door.server.once("close", () => clearInterval(sweep));
  return Object.assign(door, {
    setTls: (next: BrokerTls) => tls.setSecureContext(toSecureContext(next)),
  });
}
