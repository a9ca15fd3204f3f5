import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generate } from "mqtt-packet";
import { createFrameGuard } from "./frame-guard.ts";

const packet = fc
  .record({ size: fc.nat(300), qos: fc.constantFrom(0 as const, 1 as const) })
  .map(({ size, qos }) =>
    generate({ cmd: "publish", topic: "t", payload: Buffer.alloc(size), qos, messageId: 1, dup: false, retain: false }),
  );

describe("the frame guard", () => {
  it("admits every stream of packets within the limit, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 8 }), fc.integer({ min: 1, max: 64 }), (packets, step) => {
        const guard = createFrameGuard({ maxPacketBytes: 400, connectFirst: false });
        const stream = Buffer.concat(packets);
        for (let at = 0; at < stream.length; at += step)
          expect(guard.feed(stream.subarray(at, at + step))).toBeUndefined();
      }),
    );
  });

  it("refuses a longer one as soon as its length is read, before its body", () => {
    const guard = createFrameGuard({ maxPacketBytes: 100, connectFirst: false });
    expect(guard.feed(Buffer.from([0x30, 100]))).toBeUndefined();
    expect(guard.feed(Buffer.alloc(100))).toBeUndefined();
    expect(guard.feed(Buffer.from([0x30, 101]))).toMatch(/more than 100/u);
  });

  it("refuses a length of five bytes and a first packet that is not CONNECT", () => {
    const guard = createFrameGuard({ maxPacketBytes: 2 ** 30, connectFirst: false });
    expect(guard.feed(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80]))).toMatch(/four bytes/u);
    expect(createFrameGuard({ maxPacketBytes: 10, connectFirst: true }).feed(Buffer.from([0x30]))).toMatch(/CONNECT/u);
  });
});
