import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTcpServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { parseNetwork, type AddressPolicy } from "./address-policy.ts";
import { createEgress, type EgressOptions } from "./egress.ts";

const clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() };
const openServers: { close: () => unknown; closeAllConnections?: () => void }[] = [];
afterEach(() => {
  for (const server of openServers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  openServers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}
const serve = (listener: RequestListener) => listen(createServer(listener));
const serveBytes = (onSocket: (socket: Socket) => void) =>
  listen(
    createTcpServer((socket) => {
      socket.on("error", () => undefined);
      onSocket(socket);
    }),
  );

const loopback: AddressPolicy = { kind: "site", allowsLoopback: true };
const open = (addresses: AddressPolicy = loopback, more: Partial<EgressOptions> = {}) =>
  createEgress({
    policy: { allowsPlainHttp: true, ports: "any", addresses },
    resolve: () => Promise.resolve(["127.0.0.1"]),
    clock,
    ...more,
  });
const refusal = (code: string) => expect.objectContaining({ code }) as Error;

describe("createEgress", () => {
  it("sends a body under the name's host header and reads the answer", async () => {
    const seen: unknown[] = [];
    const port = await serve((request, response) => {
      void request.toArray().then((chunks) => {
        seen.push(request.method, request.headers.host, request.headers["x-note"], Buffer.concat(chunks).toString());
        response.writeHead(202, { "content-type": "text/plain" }).end("taken");
      });
    });
    const url = `http://hooks.example:${port}/in?x=1`;
    const headers = { "x-note": "n", Host: "evil", "Content-Length": "1" };
    const answer = await open().send({ method: "POST", url, headers, body: Buffer.from("hello") });
    expect([answer.status, answer.body.toString()]).toEqual([202, "taken"]);
    expect(seen).toEqual(["POST", `hooks.example:${port}`, "n", "hello"]);
  });

  it.each([
    "http://169.254.169.254/",
    "http://[::ffff:127.0.0.1]/",
    "http://2130706433/",
    "http://0/",
    "http://127.1/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.1/",
    "http://[::1]/",
    "http://[::]/",
    "http://10.0.0.1/",
    "http://[fd00::1]/",
  ])("A52 does not connect to %s", async (url) => {
    const asked: string[] = [];
    const egress = open({ kind: "public-only" }, { resolve: async (name) => (asked.push(name), ["127.0.0.1"]) });
    await expect(egress.send({ method: "GET", url })).rejects.toThrowError(refusal("address_refused"));
    expect(asked).toEqual([]);
  });

  it.each(["gopher://127.0.0.1/", "file:///etc/passwd"])("A52 does not speak %s", async (url) => {
    await expect(open().send({ method: "GET", url })).rejects.toThrowError(refusal("url_refused"));
  });

  it("A52 asks for a name once, so one that flips to loopback afterwards reaches nothing of ours", async () => {
    let connections = 0;
    const port = await serveBytes((socket) => {
      connections += 1;
      socket.destroy();
    });
    // A documentation network stands for a public one: nobody answers there.
    const policy: AddressPolicy = {
      kind: "public-only",
      alsoNetworks: [parseNetwork("192.0.2.0/24")!],
    };
    let asked = 0;
    const egress = open(policy, {
      resolve: () => Promise.resolve([(asked += 1) === 1 ? "192.0.2.1" : "127.0.0.1"]),
      limits: { answerTimeoutMs: 300 },
    });
    const url = `http://flips.example:${port}/`;
    await expect(egress.send({ method: "GET", url })).rejects.toThrowError(/timed_out|not reached|took longer/u);
    expect([asked, connections]).toEqual([1, 0]);
    await expect(egress.send({ method: "GET", url })).rejects.toThrowError(refusal("address_refused"));
    expect([asked, connections]).toEqual([2, 0]);
  });

  it("A52 refuses a name with one public and one private address", async () => {
    const egress = open({ kind: "public-only" }, { resolve: () => Promise.resolve(["93.184.216.34", "10.0.0.1"]) });
    await expect(egress.send({ method: "GET", url: "http://two.example/" })).rejects.toThrowError(
      refusal("address_refused"),
    );
  });

  it.each([301, 302, 303, 307, 308])("A52 does not follow a redirect of status %i", async (status) => {
    let asked = 0;
    const port = await serve((request, response) => {
      asked += 1;
      response.writeHead(status, { location: `http://127.0.0.1:${request.socket.localPort}/inside` }).end();
    });
    await expect(open().send({ method: "GET", url: `http://a.example:${port}/` })).rejects.toThrowError(
      refusal("redirect_refused"),
    );
    expect(asked).toBe(1);
  });

  it("A53 stops reading a body at its cap, declared or not", async () => {
    const chunk = Buffer.alloc(65_536);
    let sentBytes = 0;
    const port = await serve((request, response) => {
      if (request.url === "/declared") response.setHeader("content-length", String(1_073_741_824));
      const pour = () => {
        while (!response.destroyed) {
          sentBytes += chunk.length;
          if (!response.write(chunk)) return void response.once("drain", pour);
        }
      };
      pour();
    });
    for (const path of ["declared", "chunked"]) {
      sentBytes = 0;
      await expect(open().send({ method: "GET", url: `http://a.example:${port}/${path}` })).rejects.toThrowError(
        refusal("response_too_large"),
      );
      expect(sentBytes).toBeLessThan(32 * 1_048_576);
    }
  });

  it("A53 leaves a receiver that drips, one that falls silent and one that never answers", async () => {
    const limits = { answerTimeoutMs: 400, idleTimeoutMs: 5_000, minBytesPerSecond: 1_000, speedWindowMs: 200 };
    const drips = await serve((_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("x"), 50);
      response.on("close", () => clearInterval(timer));
    });
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${drips}/` }),
    ).rejects.toThrowError(refusal("response_too_slow"));
    const silent = await serve((_request, response) => void response.writeHead(200).write("x"));
    const quick = { ...limits, idleTimeoutMs: 150, minBytesPerSecond: 0 };
    await expect(
      open(loopback, { limits: quick }).send({ method: "GET", url: `http://a.example:${silent}/` }),
    ).rejects.toThrowError(refusal("timed_out"));
    const mute = await serveBytes(() => undefined);
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${mute}/` }),
    ).rejects.toThrowError(refusal("timed_out"));
    const total = { ...limits, minBytesPerSecond: 0, totalTimeoutMs: 300 };
    await expect(
      open(loopback, { limits: total }).send({ method: "GET", url: `http://a.example:${drips}/` }),
    ).rejects.toThrowError(refusal("timed_out"));
  });

  it("A53 refuses endless headers, interim answers without end, and what is not HTTP", async () => {
    const pouring = (text: string) =>
      serveBytes((socket) => {
        socket.once("data", () => {
          const timer = setInterval(() => socket.write(text.repeat(64)), 5);
          socket.on("close", () => clearInterval(timer));
        });
      });
    const limits = { answerTimeoutMs: 1_000 };
    const headers = await pouring("x-a: 0123456789012345678901234567890123456789\r\n");
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${headers}/` }),
    ).rejects.toThrowError(refusal("response_refused"));
    const interim = await pouring("HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n");
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${interim}/` }),
    ).rejects.toThrowError(refusal("timed_out"));
    const other = await serveBytes((socket) => socket.once("data", () => socket.end("SSH-2.0-x\r\n")));
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${other}/` }),
    ).rejects.toThrowError(refusal("response_refused"));
    const upgrade = await serveBytes((socket) =>
      socket.once("data", () =>
        socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
      ),
    );
    await expect(
      open(loopback, { limits }).send({ method: "GET", url: `http://a.example:${upgrade}/` }),
    ).rejects.toThrowError(refusal("unreachable"));
  });

  it("refuses an answer that is encoded", async () => {
    const port = await serve((_request, response) => response.writeHead(200, { "content-encoding": "gzip" }).end("x"));
    await expect(open().send({ method: "GET", url: `http://a.example:${port}/` })).rejects.toThrowError(
      refusal("response_refused"),
    );
  });

  it("says that a name without an address and a port where nobody listens are not reached", async () => {
    const empty = open(loopback, { resolve: () => Promise.resolve([]) });
    await expect(empty.send({ method: "GET", url: "http://a.example/" })).rejects.toThrowError(
      refusal("name_unresolved"),
    );
    const endless = open(loopback, { resolve: () => new Promise(() => undefined), limits: { answerTimeoutMs: 50 } });
    await expect(endless.send({ method: "GET", url: "http://a.example/" })).rejects.toThrowError(refusal("timed_out"));
    const port = await serve(() => undefined);
    openServers.pop()?.close();
    await expect(open().send({ method: "GET", url: `http://a.example:${port}/` })).rejects.toThrowError(
      refusal("unreachable"),
    );
  });

  it("checks an address without connecting to it", async () => {
    let connections = 0;
    const port = await serveBytes((socket) => {
      connections += 1;
      socket.destroy();
    });
    await expect(open().check(`http://a.example:${port}/`)).resolves.toBeUndefined();
    await expect(open({ kind: "public-only" }).check(`http://a.example:${port}/`)).rejects.toThrowError(
      refusal("address_refused"),
    );
    await expect(open().check("gopher://a.example/")).rejects.toThrowError(refusal("url_refused"));
    const endless = open(loopback, { resolve: () => new Promise(() => undefined), limits: { answerTimeoutMs: 50 } });
    await expect(endless.check("http://a.example/")).rejects.toThrowError(refusal("timed_out"));
    expect(connections).toBe(0);
  });

  it("ends when the caller gives up", async () => {
    const port = await serveBytes(() => undefined);
    const giveUp = new AbortController();
    const asking = open().send({ method: "GET", url: `http://a.example:${port}/`, signal: giveUp.signal });
    giveUp.abort();
    await expect(asking).rejects.toThrowError(refusal("aborted"));
  });

  it("streams what is larger than memory should hold, and frees the connection when the reader leaves", async () => {
    const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
    const port = await serve((_request, response) => {
      response.on("close", onClosed);
      const pour = () => {
        while (!response.destroyed) if (!response.write(Buffer.alloc(16_384))) return void response.once("drain", pour);
      };
      pour();
    });
    const limits = { maxResponseBytes: 1_073_741_824 };
    const answer = await open().open({ method: "GET", url: `http://a.example:${port}/`, limits });
    let readBytes = 0;
    for await (const chunk of answer.body) {
      readBytes += chunk.length;
      if (readBytes > 1_048_576) break;
    }
    await closed;
    expect(readBytes).toBeGreaterThan(1_048_576);
  });
});
