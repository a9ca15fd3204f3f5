import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createTestAuthority } from "@fairlead/bus/testing";

export type MirrorHandler = (request: IncomingMessage, response: ServerResponse) => void;

export interface MirrorRequest {
  readonly path: string;
  readonly showedCertificate: boolean;
  readonly authorization: string | undefined;
}

/** A site's own HTTPS server on the loopback address, with an authority of its own; it notes who asked for what. */
export class TestMirror implements AsyncDisposable {
  readonly requests: MirrorRequest[] = [];
  handler: MirrorHandler;
  readonly caFile: string;
  readonly #server: Server;
  #port = 0;

  private constructor(options: { readonly server: Server; readonly caFile: string; readonly handler: MirrorHandler }) {
    this.#server = options.server;
    this.caFile = options.caFile;
    this.handler = options.handler;
  }

  /** Listens on a free port; its authority's certificate lies as `<name>.pem` in the folder. */
  static async start(folder: string, name: string, handler: MirrorHandler): Promise<TestMirror> {
    const authority = await createTestAuthority(`authority of ${name}`);
    const { key, cert } = await authority.issueServer("127.0.0.1");
    mkdirSync(folder, { recursive: true });
    const caFile = join(folder, `${name}.pem`);
    writeFileSync(caFile, authority.ca);
    const server = createServer({ key, cert, requestCert: true, rejectUnauthorized: false });
    const mirror = new TestMirror({ server, caFile, handler });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      const { subject } = (request.socket as TLSSocket).getPeerCertificate();
      const { authorization } = request.headers;
      mirror.requests.push({ path: request.url ?? "", showedCertificate: subject !== undefined, authorization });
      mirror.handler(request, response);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    mirror.#port = (server.address() as AddressInfo).port;
    return mirror;
  }

  get origin(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** Entry of `mirrors` in the agent's configuration. */
  toConfig(): { readonly url: string; readonly metadata: string; readonly ca: string } {
    return { url: `${this.origin}/models/{digest}`, metadata: `${this.origin}/metadata/`, ca: this.caFile };
  }

  /** Ends it; its port refuses connections from now on. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** Answers `<prefix><name>` with what a lookup by name finds, and 404 to everything else. */
export function toFileHandler(prefix: string, find: (name: string) => Buffer | string | undefined): MirrorHandler {
  return (request, response) => {
    const path = request.url ?? "";
    const found = path.startsWith(prefix) ? find(decodeURIComponent(path.slice(prefix.length))) : undefined;
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { "content-length": Buffer.byteLength(found) }).end(found);
  };
}
