import type { Socket } from "node:net";
import { createFrameGuard, type FrameGuard } from "../frame-guard.ts";
import type { BacklogHolder, Backlogs } from "./backlogs.ts";
import type { BrokerLimits } from "./broker-options.ts";
import { ByteRate } from "./byte-rate.ts";
import { PacketAssembly } from "./packet-assembly.ts";

/** The stream ended because the peer did what it must not: `kind` says what was guarded. */
export class GuardError extends Error {
  readonly kind: "packet" | "slow-reader";

  constructor(kind: GuardError["kind"], message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface SocketGuardOptions {
  readonly socket: Socket;
  readonly limits: BrokerLimits;
  /** Unsent bytes of all connections. */
  readonly outbound: Backlogs;
  readonly onAdmit?: () => void;
  readonly onThrottle?: () => void;
}

/** What is written at once without a backlog; beyond it a socket tells when it has none any more (`drain`). */
const backlogBytes = 65_536;

/**
 * Everything that is counted in bytes, on the socket itself: a stream around it would cost each session some kilobytes
 * and each packet another queue. Before CONNECT is admitted: one packet of that size, then nothing is read until the
 * answer. After it: packets of the bigger size, at the rate that is allowed; more is left in the kernel, which holds the
 * sender back. Outwards nothing is ever held back, since one slow reader would then hold the broker's queue for all: a
 * reader whose backlog passes its bound is disconnected, and the slowest when the backlogs of all pass theirs.
 */
export class SocketGuard implements BacklogHolder {
  readonly #socket: Socket;
  readonly #guard: FrameGuard;
  readonly #assembly = new PacketAssembly();
  readonly #limits: BrokerLimits;
  readonly #outbound: Backlogs;
  readonly #rate: ByteRate;
  readonly #onThrottle: (() => void) | undefined;
  readonly #push: Socket["push"];
  readonly #read: Socket["_read"];
  #onAdmit: (() => void) | undefined;
  #admitted = false;
  #throttle: NodeJS.Timeout | undefined;
  #bytesAsStranger = 0;

  constructor({ socket, limits, outbound, onAdmit, onThrottle }: SocketGuardOptions) {
    this.#socket = socket;
    this.#limits = limits;
    this.#outbound = outbound;
    this.#onAdmit = onAdmit;
    this.#onThrottle = onThrottle;
    this.#rate = new ByteRate(limits, performance.now());
    this.#guard = createFrameGuard({ maxPacketBytes: limits.packetBytesBeforeConnect, connectFirst: true });
    this.#push = socket.push.bind(socket);
    this.#read = socket._read.bind(socket);
    socket.push = (chunk: Buffer | null) => (chunk === null ? this.#push(null) : this.#receive(chunk));
    socket._read = (size) => {
      if (this.#mayRead) this.#read(size);
    };
    const write = socket.write.bind(socket);
    socket.write = (chunk: string | Uint8Array, ...rest: []) => {
      if (this.#countOut(typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length)) write(chunk, ...rest);
      return true;
    };
    const settle = (): void => this.#settle(0);
    socket.on("close", settle);
    // The library takes away the listeners of `drain` only when it closes the connection.
    socket.on("drain", settle);
  }

  /** The broker said yes: the connection has left the crowd of strangers. */
  admit(): void {
    this.#guard.admit(this.#limits.packetBytes);
    this.#admitted = true;
    this.#onAdmit?.();
    this.#onAdmit = undefined;
    this.#resume();
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress ?? "";
  }

  get #mayRead(): boolean {
    return this.#throttle === undefined && (this.#admitted || !this.#guard.greeted);
  }

  #resume(): void {
    if (this.#mayRead && !this.#socket.destroyed && this.#socket.readableLength < this.#socket.readableHighWaterMark)
      this.#read(0);
  }

  /** Stands in for `push`: false stops the reading until more is asked for. */
  #receive(chunk: Buffer): boolean {
    const reason = this.#guard.feed(chunk) ?? this.#countAsStranger(chunk.length);
    if (reason !== undefined) {
      this.#socket.destroy(new GuardError("packet", reason));
      return false;
    }
    const waitMs = this.#rate.take(chunk.length, performance.now());
    if (waitMs > 0) this.#holdBack(waitMs);
    let hasRoom = true;
    this.#assembly.take(chunk, this.#guard.inside, (part) => {
      hasRoom = this.#push(part) && hasRoom;
    });
    return hasRoom && this.#mayRead;
  }

  /** CONNECT, and as much again for who does not wait for the answer. */
  #countAsStranger(bytes: number): string | undefined {
    if (this.#admitted) return undefined;
    this.#bytesAsStranger += bytes;
    const most = 2 * this.#limits.packetBytesBeforeConnect;
    return this.#bytesAsStranger > most ? `more than ${most} bytes before the answer to CONNECT` : undefined;
  }

  #holdBack(waitMs: number): void {
    this.#onThrottle?.();
    clearTimeout(this.#throttle);
    this.#throttle = setTimeout(() => {
      this.#throttle = undefined;
      this.#resume();
    }, waitMs);
  }

  /** The connection is the slowest reader of all. */
  end(): void {
    this.#endAsSlow(this.#socket.writableLength);
  }

  /** False when the connection is over. */
  #countOut(bytes: number): boolean {
    if (this.#socket.destroyed) return false;
    const unsentBytes = this.#socket.writableLength + bytes;
    if (unsentBytes > this.#limits.outboundBytes) {
      this.#endAsSlow(unsentBytes);
      return false;
    }
    this.#settle(Math.max(0, unsentBytes - backlogBytes));
    this.#outbound.shed();
    return !this.#socket.destroyed;
  }

  #endAsSlow(unsentBytes: number): void {
    this.#socket.destroy(new GuardError("slow-reader", `${unsentBytes} bytes are not read`));
    // At once: nobody else is to end for bytes that are going.
    this.#settle(0);
  }

  /** `backlog`: unsent bytes beyond what is written at once. */
  #settle(backlog: number): void {
    if (this.#socket.destroyed) clearTimeout(this.#throttle);
    this.#outbound.note(this, backlog);
  }
}
