import { constants } from "node:crypto";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import { createConnectionLimit, type RefusedConnection } from "./connection-limit.ts";
import { unknownAddress } from "../audit/own-decision.ts";
import { CodedError, hasErrorCode, toErrorMessage, type Logger, type Service } from "@fairlead/kernel";

/** PEM texts: key and certificate of the plane, and the authority whose client certificates are known. */
export interface ServerTls {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly tls: () => ServerTls;
  readonly fetch: Parameters<typeof createAdaptorServer>[0]["fetch"];
  readonly logger: Logger;
  readonly onListening: (port: number) => void;
  /** Peers whose connections are not counted per address. */
  readonly isProxy: (address: string) => boolean;
  readonly onRefusedConnection: (refused: RefusedConnection) => void;
}

export interface HttpServer extends Service {
  /** For handshakes from now on, with what `tls` gives now; open connections stay. */
  renewTls(): void;
}

/** HTTPS with optional client certificates: a bad one is a request without identity, never a broken handshake. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  let server: Server | undefined;
  const toSecureContext = () => ({
    ...options.tls(),
    minVersion: "TLSv1.2" as const,
    // A resumed session would carry an older judgement of the client certificate.
    secureOptions: constants.SSL_OP_NO_TICKET,
  });
  return {
    renewTls: () => server?.setSecureContext(toSecureContext()),
    name: "http",
    start: async () => {
      const serverOptions = {
        ...toSecureContext(),
        requestCert: true,
        rejectUnauthorized: false,
        handshakeTimeout: 15_000,
        headersTimeout: 15_000,
        // The largest upload over a slow line; the routes' own limits are far shorter.
        requestTimeout: 6 * 3_600_000,
        connectionsCheckingInterval: 5_000,
        keepAliveTimeout: 30_000,
        maxHeaderSize: 16_384,
      };
      const created = createAdaptorServer({
        fetch: options.fetch,
        createServer,
        serverOptions,
        overrideGlobalObjects: false,
      }) as Server;
      server = created;
      created.maxConnections = 10_000;
      // Streams say something every 15 s, and uploads have a least speed: who is silent this long is gone.
      created.setTimeout(120_000);
      const { isProxy: isExempt, onRefusedConnection: onRefused } = options;
      created.on("connection", createConnectionLimit({ maxPerAddress: 512, isExempt, onRefused }));
      created.on("drop", (dropped) =>
        onRefused({ from: dropped?.remoteAddress ?? unknownAddress, why: "too many connections of all together" }),
      );
      await new Promise<void>((resolve, reject) => {
        created.once("error", reject);
        created.listen(options.port, options.host, resolve);
      }).catch((error: unknown) => {
        if (!hasErrorCode(error, "EADDRINUSE")) throw error;
        throw new CodedError("port_taken", `port ${options.port} on ${options.host} is in use`, {
          cause: error,
          hint: "stop the other program or choose another one with --http-port",
        });
      });
      created.on("error", (error) =>
        options.logger.error("the HTTP listener failed", { error: toErrorMessage(error) }),
      );
      options.onListening((created.address() as AddressInfo).port);
    },
    stop: async () => {
      const closing = server;
      server = undefined;
      if (closing === undefined) return;
      const closed = new Promise<void>((resolve) => closing.close(() => resolve()));
      closing.closeIdleConnections();
      const timer = setTimeout(() => closing.closeAllConnections(), 500);
      await closed;
      clearTimeout(timer);
    },
  };
}
