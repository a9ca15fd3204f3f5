import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { createBodyMemory } from "./body-memory.ts";
import { parseServingConfig } from "./config.ts";
import { createBodyBudget } from "./http-body-budget.ts";
import { BodySink } from "./http-body-sink.ts";
import { readBody } from "./http-body.ts";

const mebibyte = 1_048_576;
const overloaded = expect.objectContaining({ code: "overloaded" }) as Error;

function openSink(declaredBytes: number | null, { budgetBytes = 64 * mebibyte, jsonBytes = 3 } = {}) {
  const budget = createBodyBudget({ maxBytes: budgetBytes, eachBytes: 32 * mebibyte, nowMs: () => 0 });
  const hold = budget.open();
  const options = { maxBytes: 32 * mebibyte, jsonBytes, memory: createBodyMemory(mebibyte), hold };
  return { budget, hold, sink: new BodySink(options, declaredBytes) };
}

describe("the memory of a body", () => {
  it("is there at once for a modest body, and holds no more than it declared", () => {
    const { budget, sink, hold } = openSink(900_000);
    expect(budget.usedBytes).toBe(900_000);
    sink.push(Buffer.alloc(900_000, 1));
    expect(budget.usedBytes).toBe(900_000);
    hold.release();
    expect(budget.usedBytes).toBe(0);
  });

  it("grows with what has arrived, whatever was declared", () => {
    const { budget, sink } = openSink(32 * mebibyte);
    expect(budget.usedBytes).toBe(0);
    sink.push(Buffer.alloc(8));
    expect(budget.usedBytes).toBeLessThanOrEqual(16_384);
    for (let sent = 0; sent < 16; sent += 1) sink.push(Buffer.alloc(mebibyte));
    expect(budget.usedBytes).toBeLessThanOrEqual(18 * mebibyte);
  });

  it("leaves no chunk of a body to a collection of garbage", async () => {
    const sent = randomBytes(196_608);
    const chunks = [0, 65_536, 131_072].map((from) => {
      const part = sent.subarray(from, from + 65_536);
      const chunk = Buffer.allocUnsafeSlow(part.length);
      chunk.set(part);
      return chunk;
    });
    const request = Object.assign(Readable.from(chunks), { headers: { "content-length": "196608" } });
    const hold = createBodyBudget({ maxBytes: mebibyte, eachBytes: mebibyte, nowMs: () => 0 }).open();
    const options = { maxBytes: mebibyte, jsonBytes: null, memory: createBodyMemory(mebibyte), hold };
    const body = await readBody(request as unknown as IncomingMessage, options);
    expect(Buffer.compare(body, sent)).toBe(0);
    expect(chunks.map(({ length }) => length)).toEqual([0, 0, 0]);
  });

  it.each([null, 7_000_001, 900_000])(
    "keeps every byte, and puts the first tensor on a multiple of 8: %s",
    (declared) => {
      const { sink } = openSink(declared);
      const sent = randomBytes(declared ?? 9_000_001);
      for (let from = 0; from < sent.length; from += 65_521) sink.push(Buffer.from(sent.subarray(from, from + 65_521)));
      const body = sink.finish();
      expect(body.equals(sent)).toBe(true);
      expect((body.byteOffset + 3) % 8).toBe(0);
    },
  );

  it("is refused beyond the budget of all bodies, half of which is never given ahead", () => {
    const { sink } = openSink(32 * mebibyte, { budgetBytes: 4 * mebibyte });
    expect(() => {
      for (let sent = 0; sent < 16; sent += 1) sink.push(Buffer.alloc(mebibyte));
    }).toThrow(overloaded);
    const budget = createBodyBudget({ maxBytes: 4 * mebibyte, eachBytes: 4 * mebibyte, nowMs: () => 0 });
    expect(budget.open().tryAhead(2 * mebibyte)).toBe(true);
    expect(budget.open().tryAhead(1)).toBe(false);
    budget.open().add(2 * mebibyte);
    expect(() => budget.open().add(1)).toThrow(overloaded);
  });

  it("is refused beyond the largest body", () => {
    const { sink } = openSink(null);
    expect(() => sink.push(Buffer.alloc(32 * mebibyte + 1))).toThrow(
      expect.objectContaining({ code: "body_too_large" }),
    );
  });

  it("is a quarter of the memory limit for all bodies, and so for each", () => {
    const address = { kind: "unix", socketPath: "/tmp/x" };
    const read = (rest: object) =>
      parseServingConfig(JSON.stringify({ address, inflightPath: "/tmp/y", ...rest })).bodyLimits;
    expect(read({})).toEqual({ each: 64 * mebibyte, together: 256 * mebibyte });
    expect(read({ memoryLimitBytes: 400 * mebibyte })).toEqual({ each: 64 * mebibyte, together: 100 * mebibyte });
    expect(read({ memoryLimitBytes: 192 * mebibyte })).toEqual({ each: 48 * mebibyte, together: 48 * mebibyte });
    expect(read({ maxBodiesBytes: 5 })).toEqual({ each: 5, together: 5 });
  });
});
