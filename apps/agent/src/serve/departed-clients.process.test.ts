import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { identityOf } from "@fairlead/inference/testing";
import { describe, expect, it } from "vitest";
import { ServingHarness } from "./testing/serving-harness.ts";

const mebibyte = 1_048_576;
const path = "/v2/models/echo/infer";

/** A device whose model gives back what it is given. */
async function serveEcho(config: object = {}): Promise<{ harness: ServingHarness; port: number }> {
  const harness = new ServingHarness({ ...config });
  const { address } = await harness.event("ready");
  if (address.kind !== "tcp") throw new Error("not on TCP");
  await harness.serve(harness.toLoad("echo", identityOf("FP32"), { model: "echo", slot: "echo" }));
  return { harness, port: address.port };
}

interface Floats {
  readonly head: Record<string, string>;
  readonly body: Buffer;
}

function toFloats(bytes: number, parameters: object = {}): Floats {
  const input = { name: "x", datatype: "FP32", shape: [bytes / 4], parameters: { binary_data_size: bytes } };
  const json = JSON.stringify({ parameters: { binary_data_output: true, ...parameters }, inputs: [input] });
  return {
    head: { "Inference-Header-Content-Length": String(json.length) },
    body: Buffer.concat([Buffer.from(json), Buffer.alloc(bytes)]),
  };
}

async function ask(harness: ServingHarness, bytes: number): Promise<number> {
  const { head, body } = toFloats(bytes);
  return (await harness.http({ path, body, headers: head })).status;
}

/** Sends a request, or its first `bytes` bytes, and reads nothing. */
async function send(port: number, { head, body }: Floats, bytes = body.length): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port });
  socket.on("error", () => undefined);
  const headers = Object.entries({ Host: "x", "Content-Length": String(body.length), ...head });
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`POST ${path} HTTP/1.1\r\n${lines}\r\n`);
  await new Promise<void>((resolve) => socket.write(body.subarray(0, bytes), () => resolve()));
  return socket;
}

describe("a client that is no longer there", { timeout: 60_000 }, () => {
  it("leaves its place and its memory to others while its request waits", async () => {
    const { harness, port } = await serveEcho({ maxBodiesBytes: 24 * mebibyte });
    await using _harness = harness;
    // Batch work stands still, so that it waits for as long as the test likes.
    await harness.must({ kind: "throttle", throttled: true });
    const pending = async () => (await harness.must({ kind: "ping" })).inflight;
    const batch = toFloats(11 * mebibyte, { priority: "batch" });
    const first = await send(port, batch);
    await expect.poll(pending).toBe(1);
    // Half of the memory is for work that does not stand still.
    const second = await harness.http({ path, body: batch.body, headers: batch.head });
    expect([second.status, second.headers["retry-after"]]).toEqual([503, "1"]);
    expect(await ask(harness, 4_096)).toBe(200);
    first.destroy();
    await expect.poll(pending).toBe(0);
    const third = await send(port, batch);
    await expect.poll(pending).toBe(1);
    await harness.must({ kind: "throttle", throttled: false });
    await once(third, "data");
    third.destroy();
    const { loads } = await harness.must({ kind: "collect" });
    // Who went is nobody's error; who was refused is.
    expect(loads[0]).toMatchObject({ errors: { overloaded: 1 } });
  });

  it("keeps nobody out by a body that it never ends", async () => {
    const { harness, port } = await serveEcho({ maxBodiesBytes: 24 * mebibyte });
    await using _harness = harness;
    const body = toFloats(8 * mebibyte);
    const stalled = await Promise.all([0, 1, 2].map(() => send(port, body, 8 * mebibyte)));
    expect(await ask(harness, 4_096)).toBe(200);
    await expect.poll(() => ask(harness, 8 * mebibyte), { timeout: 10_000 }).toBe(200);
    for (const socket of stalled) socket.destroy();
  });

  it("bounds what answers hold that it does not read", async () => {
    const { harness, port } = await serveEcho({ maxBodiesBytes: 64 * mebibyte });
    await using _harness = harness;
    await ask(harness, 4 * mebibyte);
    const before = (await harness.must({ kind: "ping" })).rssBytes;
    const unread: Socket[] = [];
    for (let count = 0; count < 40; count += 1) {
      unread.push((await send(port, toFloats(8 * mebibyte))).pause());
    }
    await expect.poll(async () => (await harness.must({ kind: "ping" })).inflight, { timeout: 10_000 }).toBeLessThan(8);
    // Unbounded it was all forty: 320 MiB, and as much again for what had been asked.
    expect((await harness.must({ kind: "ping" })).rssBytes - before).toBeLessThan(200 * mebibyte);
    expect(await ask(harness, 4_096)).toBe(200);
    for (const socket of unread) socket.destroy();
    await expect.poll(() => ask(harness, 8 * mebibyte), { timeout: 10_000 }).toBe(200);
  });

  it("cannot stop everybody with a few bytes that unpack to strings that no model asked for", async () => {
    const { harness } = await serveEcho();
    await using _harness = harness;
    const strings = mebibyte;
    const inputs = Array.from({ length: 12 }, (_, index) => ({
      ...{ name: `s${index}`, datatype: "BYTES", shape: [strings], parameters: { binary_data_size: 4 * strings } },
    }));
    const json = JSON.stringify({ inputs });
    const body = gzipSync(Buffer.concat([Buffer.from(json), Buffer.alloc(12 * 4 * strings)]));
    const headers = { "Inference-Header-Content-Length": String(json.length), "Content-Encoding": "gzip" };
    const refused = await harness.http({ path, body, headers });
    expect(refused.status).toBe(400);
    // Said of the first, before its text is read: reading all of them took two and a half seconds.
    expect(refused.bytes.toString()).toContain("has no input 's0' of strings");
  });
});
