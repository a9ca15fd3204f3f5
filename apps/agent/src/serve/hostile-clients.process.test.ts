import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digitModel, json, readDigits, ServingHarness } from "./testing/serving-harness.ts";

const [digit] = readDigits();
const pixels = digit?.pixels ?? [];
const path = "/v2/models/digit-reader/infer";
const head = { name: "image", datatype: "FP32", shape: [1, 1, 8, 8] };
const goodBody = JSON.stringify({ inputs: [{ ...head, data: pixels }] });

async function serveDigits(): Promise<{ harness: ServingHarness; port: number }> {
  const harness = new ServingHarness();
  const { address } = await harness.event("ready");
  if (address.kind !== "tcp") throw new Error("not on TCP");
  await harness.serve(harness.toLoad("a", digitModel("1.1.0-int8")));
  return { harness, port: address.port };
}

const open = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => resolve(socket));
    socket.on("error", reject);
  });

function readRssBytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/u.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) * 1_024;
}

describe("the serving process", { timeout: 30_000 }, () => {
  it("answers beside a thousand idle connections, and they cost it little", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
    const before = readRssBytes(harness.child.pid ?? 0);
    const idle = await Promise.all(Array.from({ length: 1_000 }, () => open(port)));
    const answers = await Promise.all(Array.from({ length: 20 }, () => harness.http({ path, body: goodBody })));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(readRssBytes(harness.child.pid ?? 0) - before).toBeLessThan(40 * 1_048_576);
    for (const socket of idle) socket.destroy();
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
  });

  it("forgets a client that goes away in the middle of its body or before its answer", async () => {
    const { harness, port } = await serveDigits();
    await using _harness = harness;
    for (const sent of [goodBody.length - 10, goodBody.length]) {
      for (let count = 0; count < 20; count += 1) {
        const socket = await open(port);
        socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: ${goodBody.length}\r\n\r\n`);
        socket.write(goodBody.slice(0, sent));
        socket.destroy();
      }
    }
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
    const stats = await harness.http({ path: "/v2/models/digit-reader/stats" });
    expect(stats.status).toBe(200);
    expect((await harness.http({ path: "/v2/health/ready" })).status).toBe(200);
  });

  it("answers whatever is sent as an inference with JSON and goes on", async () => {
    const { harness } = await serveDigits();
    await using _harness = harness;
    const tensor = fc.record(
      {
        name: fc.oneof(fc.constant("image"), fc.string()),
        datatype: fc.oneof(fc.constantFrom("FP32", "INT8", "BYTES", "BF16"), fc.anything()),
        shape: fc.oneof(
          fc.constant([1, 1, 8, 8]),
          fc.array(fc.oneof(fc.integer(), fc.constant(2 ** 31), fc.constant(1e308)), { maxLength: 5 }),
        ),
        data: fc.oneof(fc.constant(pixels), fc.array(fc.anything(), { maxLength: 5 })),
        parameters: fc.oneof(fc.record({ binary_data_size: fc.oneof(fc.integer(), fc.constant(256)) }), fc.anything()),
      },
      { requiredKeys: [] },
    );
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      fc.record({ inputs: fc.array(tensor, { maxLength: 2 }) }).map((value) => Buffer.from(JSON.stringify(value))),
      fc.json().map((text) => Buffer.from(text)),
    );
    const length = fc.oneof(
      fc.constant(undefined),
      fc.nat(700).map(String),
      fc.constantFrom("-1", "9".repeat(30), "x"),
    );
    await fc.assert(
      fc.asyncProperty(body, length, async (bytes, jsonBytes) => {
        const headers = jsonBytes === undefined ? {} : { "Inference-Header-Content-Length": jsonBytes };
        const answer = await harness.http({ path, body: bytes, headers });
        expect([200, 400, 413]).toContain(answer.status);
        if (answer.status === 200) return;
        expect(json(answer.bytes)).toEqual({ error: expect.stringMatching(/./u) as string });
      }),
      { numRuns: 300 },
    );
    expect((await harness.http({ path, body: goodBody })).status).toBe(200);
  });
});
