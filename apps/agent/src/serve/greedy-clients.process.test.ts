import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { digitModel, json, readDigits, ServingHarness } from "./testing/serving-harness.ts";

const mebibyte = 1_048_576;
const path = "/v2/models/digit-reader/infer";
const head = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8] };
const goodBody = JSON.stringify({ inputs: [{ ...head, data: readDigits()[0]?.pixels ?? [] }] });

async function serveDigits(config: object = {}): Promise<{ harness: ServingHarness; port: number }> {
  const harness = new ServingHarness({ ...config });
  const { address } = await harness.event("ready");
  if (address.kind !== "tcp") throw new Error("not on TCP");
  await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8")));
  return { harness, port: address.port };
}

/** All that the server says, once it has closed the connection. */
async function talk(port: number, text: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port });
  let said = "";
  socket.on("data", (chunk: Buffer) => (said += chunk.toString()));
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return said;
}

const toHead = (length: number, to = path) => `POST ${to} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;

/** A client that sends so much of its body and then waits. @returns the status that it was told, and its connection */
function begin(
  port: number,
  length: number,
  body: Buffer,
): { readonly socket: Socket; readonly status: Promise<string> } {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined);
  socket.write(toHead(length));
  socket.write(body);
  const status = once(socket, "data").then(([chunk]) => (chunk as Buffer).toString());
  return { socket, status };
}

/** User and system time of a process in ticks of 10 ms (proc(5)). */
function readProcessorMs(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 10;
}

describe("a client that takes more than its part", { timeout: 60_000 }, () => {
  it.each([
    [
      "numbers",
      `{"inputs":[{"name":"image","shape":[500000,64],"datatype":"FP32","data":[${"1,".repeat(32_000_000)}1]}]}`,
    ],
    ["empty objects", `{"inputs":[${"{},".repeat(3_000_000)}{}]}`],
  ])("is refused JSON of millions of %s, and others are answered meanwhile", async (_name, body) => {
    const { harness } = await serveDigits();
    await using _harness = harness;
    const refused = await harness.http({ path, body });
    expect(refused.status).toBe(413);
    expect(json(refused.bytes)).toEqual({ error: expect.stringContaining("send tensors as binary data") as string });
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads[0]).toMatchObject({ requests: 2, errors: { input: 1 } });
  });

  it("costs nothing by what it declares: hundreds of connections delay nobody", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    const before = readProcessorMs(harness.child.pid);
    const idle = Array.from({ length: 400 }, () => begin(port, 64 * mebibyte, Buffer.from("12345678")).socket);
    await Promise.all(idle.map((socket) => once(socket, "connect")));
    for (let count = 0; count < 5; count += 1) expect((await harness.http({ path, body: goodBody })).status).toBe(200);
    // Memory for 25 GB took three seconds of collections.
    expect(readProcessorMs(harness.child.pid) - before).toBeLessThan(1_000);
    for (const socket of idle) socket.destroy();
  });

  it("is told to come later when all bodies together are too large, and no model is blamed", async () => {
    const { harness, port } = await serveDigits({ maxBodiesBytes: 24 * mebibyte });
    await using _harness = harness;
    const clients = Array.from({ length: 4 }, () => begin(port, 16 * mebibyte, Buffer.alloc(12 * mebibyte, 32)));
    const refusal = await Promise.any(clients.map(({ status }) => status));
    expect(refusal).toMatch(/^HTTP\/1\.1 503 .*\r\nRetry-After: 1\r\n.*\{"error":"the requests/su);
    for (const { socket } of clients) socket.destroy();
    await expect.poll(async () => (await harness.http({ path, body: goodBody })).status).toBe(200);
    const { loads } = await harness.must({ kind: "collect" });
    expect(loads[0]?.errors).toEqual({});
    // What they held is there again, and the body is read: it is JSON of more than may be.
    const large = () => harness.http({ path, body: Buffer.alloc(20 * mebibyte, 32) });
    await expect.poll(async () => (await large()).status, { timeout: 10_000 }).toBe(413);
  });

  it("is refused a body for an unknown model before it has sent it", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    const unknown = connect({ host: "127.0.0.1", port });
    unknown.write(toHead(64 * mebibyte, "/v2/models/nobody/infer"));
    const [answer] = (await once(unknown, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 404 .*'nobody' is not found/su);
    unknown.destroy();
  });

  it("reads why its body was refused although it sends all of it first", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      body: Buffer.alloc(70_000_000, 32),
    });
    expect(answer.status).toBe(413);
    expect(await answer.json()).toEqual({ error: "the body is larger than 67108864 bytes" });
    // One that does not read before it has written everything, as Python's http.client.
    const socket = connect({ host: "127.0.0.1", port });
    socket.pause();
    let failure: unknown = null;
    socket.on("error", (error) => (failure = error));
    socket.write(toHead(70_000_000));
    await new Promise<void>((resolve) => socket.write(Buffer.alloc(70_000_000, 32), () => resolve()));
    const [said] = (await Promise.race([once(socket.resume(), "data"), once(socket, "close")])) as [Buffer];
    expect(String(said)).toMatch(/^HTTP\/1\.1 413 /u);
    expect(failure).toBe(null);
    socket.destroy();
  });
});

describe("the endpoint's HTTP", { timeout: 30_000 }, () => {
  it("takes content codings in any case and in a list", async () => {
    const { harness } = await serveDigits();
    await using _harness = harness;
    const send = async (coding: string, body: Buffer) =>
      (await harness.http({ path, body, headers: { "Content-Encoding": coding } })).status;
    const [plain, gzip, deflate] = [Buffer.from(goodBody), gzipSync(goodBody), deflateSync(goodBody)];
    for (const coding of ["GZIP", "gzip, identity", "identity , X-Gzip"]) expect(await send(coding, gzip)).toBe(200);
    expect(await send("Deflate", deflate)).toBe(200);
    for (const coding of ["", "Identity", "identity, identity"]) expect(await send(coding, plain)).toBe(200);
    for (const coding of ["gzip, gzip", "br", "constructor"]) expect(await send(coding, gzip)).toBe(415);
    expect(await send("gzip", gzip.subarray(0, -9))).toBe(415);
    expect(await send("gzip", Buffer.concat([gzip, Buffer.alloc(200_000)]))).toBe(200);
  });

  it("says in the protocol's form what is wrong before there is a request", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    const chunked = `POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`;
    for (const [text, status] of [
      ["GARBAGE\r\n\r\n", "400 Bad Request"],
      [chunked, "400 Bad Request"],
      [`GET /v2 HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(600_000)}\r\n\r\n`, "431 Request Header Fields Too Large"],
      ["GET /v2 HTTP/1.1\r\nHost: x\r\nExpect: tea\r\nConnection: close\r\n\r\n", "417 Expectation Failed"],
    ] as const) {
      const [top = "", body = ""] = (await talk(port, text)).split("\r\n\r\n");
      expect(top).toContain(`HTTP/1.1 ${status}\r\nContent-Type: application/json`);
      expect(JSON.parse(body)).toEqual({ error: expect.stringMatching(/./u) as string });
    }
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
  });
});
