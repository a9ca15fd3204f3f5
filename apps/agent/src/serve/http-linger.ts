import type { IncomingMessage, ServerResponse } from "node:http";
import { freeNow } from "./body-memory.ts";

/**
 * How much and how long is still read of a request that was answered before its end. A client that writes all of its body
 * before it reads sees the answer only when it can write everything: a connection that is closed with unread bytes is reset,
 * and takes the answer along (RFC 9112, section 9.6). Clients are on this machine, where 256 MiB, four times the largest body,
 * take a quarter of a second; who is slower than three seconds has had the answer for as long.
 */
const maxBytes = 268_435_456;
const maxMs = 3_000;

/** Ends the exchange once the client has nothing more to send; its answer must be written already. */
export function lingerThenEnd(request: IncomingMessage, response: ServerResponse): void {
  let leftBytes = maxBytes;
  const end = (): void => {
    clearTimeout(timer);
    request.removeAllListeners("data");
    request.pause();
    response.end();
  };
  const timer = setTimeout(end, maxMs);
  request.unpipe();
  request.removeAllListeners("data");
  request.on("data", (chunk: Buffer) => {
    leftBytes -= chunk.length;
    freeNow(chunk);
    if (leftBytes < 0) end();
  });
  request.on("end", end);
  request.on("error", end);
  response.on("close", () => clearTimeout(timer));
  request.resume();
}
