import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServingAddress } from "../../serve/ipc.ts";

/** What becomes of a request; `break` ends its connection without an answer. */
export type Fate = "break" | { readonly status: number; readonly body: string };

/** No process stands behind it that could end. */
export const noEnds = { count: 0, after: async () => null };

/** An endpoint with one model whose input is four bytes, version 1.0.0. */
export class FakeEndpoint implements AsyncDisposable {
  readonly asked: { readonly path: string; readonly body: string }[] = [];
  readonly #server: Server;
  readonly #decide: (body: string) => Fate;

  constructor(decide: (body: string) => Fate) {
    this.#decide = decide;
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const path = request.url ?? "";
        if (!path.endsWith("/infer"))
          return void response.end(JSON.stringify({ inputs: [{ name: "x", datatype: "UINT8", shape: [4] }] }));
        const text = Buffer.concat(chunks).toString("latin1");
        const body = text.startsWith("{")
          ? text.slice(Number(request.headers["inference-header-content-length"] ?? 0))
          : text;
        this.asked.push({ path, body });
        const fate = this.#decide(body);
        if (fate === "break") return void request.socket.destroy();
        response.writeHead(fate.status).end(fate.body);
      });
    });
  }

  async listen(): Promise<ServingAddress> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return { kind: "tcp", host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  /** How often this content was asked about. */
  count(body: string): number {
    return this.asked.filter((one) => one.body === body).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
