import { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { createFrameGuard, type FrameGuard } from "../frame-guard.ts";

/**
 * A socket behind a frame guard: bytes of a packet that is too long never reach the codec, which would buffer them
 * without limit.
 */
export class GuardedStream extends Duplex {
  readonly #socket: TLSSocket;
  readonly #guard: FrameGuard;

  constructor(socket: TLSSocket, maxPacketBytes: number) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#guard = createFrameGuard({ maxPacketBytes, connectFirst: true });
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
    socket.pause();
  }

  admit(maxPacketBytes: number): void {
    this.#guard.admit(maxPacketBytes);
  }

  /** Bytes accepted but not yet taken by the kernel. */
  get unsentBytes(): number {
    return this.writableLength + this.#socket.writableLength;
  }

  #receive(chunk: Buffer): void {
    const reason = this.#guard.feed(chunk);
    if (reason !== undefined) this.destroy(new Error(reason));
    else if (!this.push(chunk)) this.#socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer; encoding: BufferEncoding }[], done: (error?: Error | null) => void): void {
    this.#socket.write(Buffer.concat(chunks.map((part) => part.chunk)), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
