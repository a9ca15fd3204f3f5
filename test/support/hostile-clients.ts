import { toText, toLength } from "@fairlead/bus/testing/malformed-packets";
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { connect as connectTls, createSecureContext, type ConnectionOptions, type SecureContext } from "node:tls";

/*
 * Clients that want to cost a broker memory before it knows them: their CONNECT is never complete. Each says what it has
 * to say and then keeps its connection open. All of them speak to loopback and are bounded in bytes.
 */

export interface Credentials {
  readonly ca: string;
  /** A certificate that the broker admits; whoever has one is still a stranger until CONNECT is accepted. */
  readonly device: { readonly key: string; readonly cert: string };
}

export interface Target extends Credentials {
  readonly port: number;
  /** The address of loopback that the client comes from. */
  readonly from: string;
  /** The same certificate over and over, some 75 kB in all. */
  readonly longChain: SecureContext;
}

export function createTarget(port: number, { ca, device }: Credentials, from = "127.0.0.1"): Target {
  const cert = `${device.cert.trim()}\n`.repeat(220);
  return { port, from, ca, device, longChain: createSecureContext({ ca, key: device.key, cert }) };
}

/** A client that has begun to speak when `begun` resolves, or whose connection has ended. It goes on by itself. */
export interface HostileClient {
  readonly socket: Socket;
  readonly begun: Promise<void>;
}

export interface HostileKind {
  readonly name: string;
  readonly open: (target: Target) => HostileClient;
}

function open(socket: Socket, ready: "connect" | "secureConnect", say: () => void): HostileClient {
  socket.on("error", () => undefined).resume();
  socket.once(ready, say);
  const begun = new Promise<void>((resolve) => void socket.once("connect", resolve).once("close", () => resolve()));
  return { socket, begun };
}
const overTcp = (say: (socket: Socket, target: Target) => void) => (target: Target) => {
  const socket = connectTcp({ host: "127.0.0.1", port: target.port, localAddress: target.from, noDelay: true });
  return open(socket, "connect", () => say(socket, target));
};
const overTls = (say: (socket: Socket) => void) => (target: Target) => {
  const { port, from: localAddress, ca, device } = target;
  // Only a TCP connection can be told where it comes from.
  const wire = connectTcp({ host: "127.0.0.1", port, localAddress, noDelay: true }).on("error", () => undefined);
  const socket = connectTls({ host: "127.0.0.1", socket: wire, ca, ...device });
  return open(socket, "secureConnect", () => say(socket));
};

function writeByteByByte(socket: Socket, bytes: Uint8Array): void {
  if (bytes.length === 0 || socket.destroyed) return;
  socket.write(bytes.subarray(0, 1), () => setImmediate(() => writeByteByByte(socket, bytes.subarray(1))));
}

/** As fast as the other end takes it, and no faster. */
export function pour(socket: Socket, totalBytes: number): void {
  const chunk = Buffer.alloc(65_536);
  let left = totalBytes;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= chunk.length;
      if (!socket.write(chunk)) return void socket.once("drain", more);
    }
  };
  more();
}

/** A real ClientHello and, once the broker has answered it, so many bytes of what a client says then. */
function shakeHands(socket: Socket, options: ConnectionOptions, moreBytes: number): void {
  let left: number | undefined;
  const wire = new Duplex({
    read: () => undefined,
    write(chunk: Buffer, _encoding, done) {
      const part = chunk.subarray(0, left ?? chunk.length);
      left = left === undefined ? moreBytes : left - part.length;
      socket.write(part, () => done());
    },
  });
  socket.on("data", (chunk: Buffer) => void (left !== 0 && wire.push(chunk)));
  const client = connectTls({ host: "127.0.0.1", socket: wire, ...options }).on("error", () => undefined);
  // Small records: a server takes in nothing of a record before its end.
  client.setMaxSendFragment(512);
}

/** The beginning of a first record that announces a ClientHello of so many bytes. */
function toHello(recordBytes: number, sentBytes: number): Buffer {
  const body = recordBytes - 4;
  const head = [0x16, 3, 1, recordBytes >> 8, recordBytes & 255, 1, 0, body >> 8, body & 255];
  return Buffer.concat([Buffer.from(head), Buffer.alloc(sentBytes - head.length)]);
}

/** The beginning of a CONNECT whose body has so many bytes, nearly all of them in its client identifier. */
function toLongConnect(bodyBytes: number, sentBytes: number): Buffer {
  const head = [Buffer.from([0x10, ...toLength(bodyBytes)]), toText("MQTT"), Buffer.from([4, 2, 0, 60])];
  const identifierBytes = bodyBytes - 12;
  const identifier = [Buffer.from([identifierBytes >> 8, identifierBytes & 255]), Buffer.alloc(sentBytes - 14, "x")];
  return Buffer.concat([...head, ...identifier]);
}

const promise = Buffer.from([0x10, 0xff, 0xff, 0xff, 0x7f]);
const pouredBytes = 524_288;

/** Before and in the middle of TLS. */
const outside: readonly HostileKind[] = [
  { name: "silence before TLS", open: overTcp(() => undefined) },
  { name: "half a ClientHello", open: overTcp((socket) => void socket.write(toHello(8_176, 7_000))) },
  { name: "a ClientHello byte by byte", open: overTcp((socket) => writeByteByByte(socket, toHello(2_000, 100))) },
  {
    name: "a ClientHello, then silence",
    open: overTcp((socket, { ca, device }) => shakeHands(socket, { ca, ...device }, 0)),
  },
  {
    name: "a ClientHello, then 512 kB",
    open: overTcp((socket, { ca, device }) => {
      shakeHands(socket, { ca, ...device }, 0);
      setImmediate(() => pour(socket, pouredBytes));
    }),
  },
  {
    name: "a certificate chain that announces 75 kB",
    open: overTcp((socket, { ca, longChain }) => shakeHands(socket, { ca, secureContext: longChain }, 6_000)),
  },
];

export const promising: HostileKind = {
  name: "a CONNECT that announces 256 MB, then silence",
  open: overTls((socket) => void socket.write(promise)),
};
export const pouring: HostileKind = {
  name: "a CONNECT that announces 256 MB, then 32 MB",
  open: overTls((socket) => {
    socket.write(promise);
    pour(socket, 32 * 1_048_576);
  }),
};

/** With TLS, but without a CONNECT that is complete. */
const inside: readonly HostileKind[] = [
  { name: "TLS, then silence", open: overTls(() => undefined) },
  promising,
  {
    name: "a CONNECT that announces 256 MB, then 512 kB",
    open: overTls((socket) => {
      socket.write(promise);
      pour(socket, pouredBytes);
    }),
  },
  {
    name: "a CONNECT of 4 kB without its end",
    open: overTls((socket) => void socket.write(toLongConnect(4_090, 4_000))),
  },
  {
    name: "a CONNECT of 64 kB without its end",
    open: overTls((socket) => void socket.write(toLongConnect(65_500, 65_000))),
  },
  {
    name: "a CONNECT of 4 kB byte by byte",
    open: overTls((socket) => writeByteByByte(socket, toLongConnect(4_000, 100))),
  },
];

export const hostileKinds: readonly HostileKind[] = [...outside, ...inside];
