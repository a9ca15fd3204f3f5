import { connect, type TLSSocket } from "node:tls";

export interface RawAnswer {
  /** 0 when the connection ended without an answer. */
  readonly status: number;
  readonly text: string;
  /** Bytes that were handed to the socket before the other side was done with it. */
  readonly sentBytes: number;
}

export interface RawRequest {
  readonly url: string;
  readonly ca: string;
  /** A device's, for what only devices may call. */
  readonly identity?: { readonly key: string; readonly cert: string } | undefined;
  /** Written as they are, in this order, waiting for the socket to drain. */
  readonly parts: Iterable<string | Uint8Array>;
  /** How long an answer is waited for once everything is written. */
  readonly timeoutMs?: number;
}

/** Writes bytes that no HTTP client would write, over TLS; ends with the first whole header or with the connection. */
export async function sendRaw({ url, ca, identity, parts, timeoutMs = 20_000 }: RawRequest): Promise<RawAnswer> {
  const { port } = new URL(url);
  const socket: TLSSocket = connect({
    port: Number(port),
    host: "127.0.0.1",
    servername: "localhost",
    ca,
    ...identity,
  });
  let text = "";
  let sentBytes = 0;
  let isOver = false;
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const end = () => {
    isOver = true;
    resolve();
  };
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
    if (text.includes("\r\n\r\n")) end();
  });
  socket.on("error", end).on("close", end);
  await Promise.race([over, new Promise<void>((ready) => socket.once("secureConnect", () => ready()))]);
  for (const part of parts) {
    if (isOver) break;
    sentBytes += part.length;
    if (!socket.write(part)) {
      await Promise.race([over, new Promise<void>((ready) => socket.once("drain", () => ready()))]);
    }
    // Gives the answer a turn: a refusal ends the sending.
    await new Promise((ready) => setImmediate(ready));
  }
  const timer = setTimeout(end, timeoutMs);
  await over;
  clearTimeout(timer);
  // The body of the answer is what has come by now; its header is whole.
  socket.destroy();
  return { status: Number(/^HTTP\/1\.1 (\d{3})/u.exec(text)?.[1] ?? 0), text, sentBytes };
}
