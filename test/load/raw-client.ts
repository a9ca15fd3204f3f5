import { connect, type Socket } from "node:net";

/** Larger than any answer's head; bodies may come in pieces of it. */
const readBytes = 65_536;

/** One keep-alive connection that sends a ready-made request and waits for the whole answer: the cheapest honest client. */
export class RawConnection {
  readonly #socket: Socket;
  #received = 0;
  #expected = -1;
  #status = 0;
  /** The last answer's head. The next one is mostly the same, and then says the same. */
  #head: Buffer = Buffer.alloc(0);
  #whole = { status: 0, bytes: 0 };
  #resolve: ((status: number) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(host: string, port: number) {
    const take = (length: number, into: Uint8Array) => {
      this.#take(Buffer.from(into.buffer, into.byteOffset, length));
      return true;
    };
    // Read into one buffer, past the stream's machinery: a load generator shares the processors with what it measures.
    this.#socket = connect({
      ...{ host, port, noDelay: true },
      onread: { buffer: Buffer.allocUnsafeSlow(readBytes), callback: take },
    });
    this.#socket.on("error", (error) => this.#reject?.(error));
    this.#socket.on("close", () => this.#reject?.(new Error("the connection closed")));
  }

  send(request: Buffer): Promise<number> {
    this.#received = 0;
    this.#expected = -1;
    if (this.#socket.destroyed) return Promise.reject(new Error("the connection is closed"));
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    if (this.#expected < 0) {
      const head = this.#head;
      const isSame =
        head.length > 0 && chunk.length >= head.length && chunk.compare(head, 0, head.length, 0, head.length) === 0;
      if (!isSame && !this.#readHead(chunk)) return this.#reject?.(new Error("no whole head with a content-length"));
      this.#expected = this.#whole.bytes;
      this.#status = this.#whole.status;
    }
    this.#received += chunk.length;
    if (this.#received >= this.#expected) this.#resolve?.(this.#status);
  }

  #readHead(chunk: Buffer): boolean {
    const end = chunk.indexOf("\r\n\r\n");
    const text = chunk.toString("latin1", 0, Math.max(0, end));
    const length = /\r\ncontent-length: *(\d+)/iu.exec(text)?.[1];
    if (length === undefined) return false;
    this.#head = Buffer.from(chunk.subarray(0, end + 4));
    this.#whole = { status: Number(text.slice(9, 12)), bytes: end + 4 + Number(length) };
    return true;
  }
}

export function toHttpRequest(path: string, headers: Readonly<Record<string, string>>, body: Buffer): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, "host: localhost", `content-length: ${body.length}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}
