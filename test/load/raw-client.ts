import { connect, type Socket } from "node:net";

/** One keep-alive connection that sends a ready-made request and waits for the whole answer: the cheapest honest client. */
export class RawConnection {
  readonly #socket: Socket;
  #received = 0;
  #expected = -1;
  #head = "";
  #resolve: ((status: number) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(host: string, port: number) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("error", (error) => this.#reject?.(error));
    this.#socket.on("close", () => this.#reject?.(new Error("the connection closed")));
  }

  send(request: Buffer): Promise<number> {
    this.#received = 0;
    this.#expected = -1;
    this.#head = "";
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
      this.#head += chunk.toString("latin1");
      const end = this.#head.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = /content-length: *(\d+)/iu.exec(this.#head.slice(0, end))?.[1];
      if (length === undefined) return this.#reject?.(new Error("an answer without content-length"));
      this.#expected = end + 4 + Number(length);
      this.#received = this.#head.length;
    } else {
      this.#received += chunk.length;
    }
    if (this.#received >= this.#expected) this.#resolve?.(Number(this.#head.slice(9, 12)));
  }
}

export function toHttpRequest(path: string, headers: Readonly<Record<string, string>>, body: Buffer): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, "host: localhost", `content-length: ${body.length}`];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), body]);
}
