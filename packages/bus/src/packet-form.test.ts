import fc from "fast-check";
import { generate, type Packet } from "mqtt-packet";
import { describe, expect, it } from "vitest";
import { createFrameGuard } from "./frame-guard.ts";
import { malformedConnects, malformedPackets, toConnect, toText } from "./testing/malformed-packets.ts";

const feed = (...parts: readonly Uint8Array[]): string | undefined => {
  const guard = createFrameGuard({ maxPacketBytes: 65_536, connectFirst: true });
  return guard.feed(Buffer.concat(parts));
};

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 40 }).filter((one) => !/[\p{Cc}+#]/u.test(one));
const messageId = fc.integer({ min: 1, max: 65_535 });
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc
    .record({ topic: text, qos, messageId, size: fc.nat(3_000), retain: fc.boolean() })
    .map(({ size, ...rest }) => ({ cmd: "publish", dup: false, payload: Buffer.alloc(size, 1), ...rest }) as const),
  fc
    .record({ messageId, subscriptions: fc.array(fc.record({ topic: text, qos }), { minLength: 1, maxLength: 5 }) })
    .map((rest) => ({ cmd: "subscribe", ...rest }) as Packet),
  fc
    .record({ messageId, unsubscriptions: fc.array(text, { minLength: 1, maxLength: 5 }) })
    .map((rest) => ({ cmd: "unsubscribe", ...rest }) as Packet),
  fc
    .record({
      cmd: fc.constantFrom("puback" as const, "pubrec" as const, "pubrel" as const, "pubcomp" as const),
      messageId,
    })
    .map((rest) => rest as Packet),
  fc.constantFrom<Packet>({ cmd: "pingreq" }, { cmd: "disconnect" }),
);

describe("the form of a client's packets", () => {
  it("admits whatever a client of the standard sends, however it is cut", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 8 }), fc.integer({ min: 1, max: 700 }), (packets, step) => {
        const guard = createFrameGuard({ maxPacketBytes: 65_536, connectFirst: true });
        const stream = Buffer.concat([toConnect(), ...packets.map((one) => generate(one))]);
        for (let at = 0; at < stream.length; at += step)
          expect(guard.feed(stream.subarray(at, at + step))).toBeUndefined();
      }),
    );
  });

  it.each([
    [
      "a will and a password",
      {
        will: { topic: "a/b", payload: Buffer.from("gone"), qos: 1, retain: true },
        username: "u",
        password: Buffer.from("p"),
      },
    ],
    ["level 5, which the broker answers itself", { protocolVersion: 5 }],
    ["level 3, which the broker answers itself", { protocolId: "MQIsdp", protocolVersion: 3 }],
  ])("admits a CONNECT with %s", (_, rest) => {
    expect(
      feed(generate({ cmd: "connect", clientId: "cam-1", clean: true, keepalive: 60, ...rest } as Packet)),
    ).toBeUndefined();
  });

  it.each(malformedPackets)("refuses %s", (_, bytes) => {
    expect(feed(toConnect(), bytes)).toMatch(/^a packet of type \d+/u);
    // Byte by byte as well.
    const guard = createFrameGuard({ maxPacketBytes: 65_536, connectFirst: true });
    const reasons = [...toConnect(), ...bytes].map((byte) => guard.feed(Uint8Array.of(byte)));
    expect(reasons.find((reason) => reason !== undefined)).toMatch(/^a packet of type \d+/u);
  });

  it.each(malformedConnects)("refuses a CONNECT with %s", (_, bytes) => {
    expect(feed(bytes)).toMatch(/^a packet of type 1: |not CONNECT/u);
  });

  it("reads nothing beyond a packet, whatever bytes come", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const reason = feed(toConnect(), bytes);
        expect(reason === undefined || reason.length > 0).toBe(true);
      }),
    );
    expect(feed(toConnect(), Buffer.concat([Buffer.from([0x30, 4]), toText("ok")]))).toBeUndefined();
  });
});
