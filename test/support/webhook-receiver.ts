import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer as createHttpServer, type IncomingHttpHeaders, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";

export interface ReceivedMessage {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface ReceiverTls {
  readonly key: string;
  readonly cert: string;
}

/** Servers of one test at loopback, which end with it. */
export class WebhookReceivers implements Disposable {
  readonly #servers: ReturnType<typeof createHttpServer>[] = [];

  /** The port on which the listener answers, over TLS where it has a certificate. */
  async listen(listener: RequestListener, tls?: ReceiverTls): Promise<number> {
    const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener);
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  /** Keeps what it gets and answers with the statuses in their order, the last one for ever. */
  async receive(statuses: readonly number[], tls?: ReceiverTls) {
    const received: ReceivedMessage[] = [];
    const port = await this.listen((request, response) => {
      void request.toArray().then((chunks) => {
        received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
        response.writeHead(statuses[Math.min(received.length, statuses.length) - 1] ?? 204).end();
      });
    }, tls);
    return { port, received, url: `http://127.0.0.1:${port}/in` };
  }

  [Symbol.dispose](): void {
    for (const server of this.#servers) {
      server.closeAllConnections();
      server.close();
    }
  }
}

/** As a receiver does it that has never seen Fairlead: Standard Webhooks 1.0. */
export function isGenuine(secret: string, { headers, body }: ReceivedMessage): boolean {
  const signed = [headers["webhook-id"], headers["webhook-timestamp"], body].join(".");
  const expected = createHmac("sha256", Buffer.from(secret.slice("whsec_".length), "base64"))
    .update(signed)
    .digest();
  const given = Buffer.from(String(headers["webhook-signature"]).replace("v1,", ""), "base64");
  const isYoung = Math.abs(Date.now() / 1_000 - Number(headers["webhook-timestamp"])) < 300;
  return isYoung && given.length === expected.length && timingSafeEqual(given, expected);
}
