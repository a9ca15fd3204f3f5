import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mayDevicePublish, parseTopic, toDeviceFilters, toDevicePatterns, toTopic, type Topic } from "./topics.ts";

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/u);
const commandId = fc.stringMatching(/^[0-9a-hjkmnp-tv-z]{26}$/u).map((tail) => `cmd-${tail}`);
const topic: fc.Arbitrary<Topic> = fc.oneof(
  fc.record({
    kind: fc.constant("up" as const),
    tenant: name,
    device: name,
    channel: fc.constantFrom("birth", "status", "telemetry", "event", "reported", "evidence"),
  }),
  fc.record({
    kind: fc.constant("down" as const),
    tenant: name,
    device: name,
    channel: fc.constantFrom("desired", "ack", "challenge"),
  }),
  fc.record({ kind: fc.constant("reply" as const), tenant: name, device: name, commandId }),
  fc.record({ kind: fc.constant("command" as const), tenant: name, device: name, commandId }),
  fc.record({ kind: fc.constant("host" as const), tenant: name }),
);

describe("topics", () => {
  it("parse back to what they were built from", () => {
    fc.assert(
      fc.property(topic, (value) => {
        expect(parseTopic(toTopic(value))).toEqual(value);
      }),
    );
  });

  it("are undefined for any text that the grammar does not make", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const parsed = parseTopic(text);
        if (parsed !== undefined) expect(toTopic(parsed)).toBe(text);
      }),
    );
    for (const text of ["fairlead/v1/t/d/up/reply/+", "fairlead/v1/t/#", "$SYS/x", "fairlead/v1/t/d/up/birth/extra"]) {
      expect(parseTopic(text)).toBeUndefined();
    }
  });

  it("give another broker the patterns that say what a device may do, whatever tenant and device are called", () => {
    const some = fc.oneof(name, fc.constant("x"));
    fc.assert(
      fc.property(some, some, commandId, (tenant, device, id) => {
        const { publish, subscribe } = toDevicePatterns(tenant, device);
        expect(subscribe).toEqual(toDeviceFilters(tenant, device));
        for (const pattern of publish)
          expect(mayDevicePublish({ tenant, device }, pattern.replace("+", id)), pattern).toBe(true);
      }),
    );
    expect(toDevicePatterns("x", "%u").publish).toContain("fairlead/v1/x/%u/up/birth");
  });

  it("refuse names that hold separators or wildcards", () => {
    for (const device of ["x/#", "+", "a/../b", "", "A", "a\u0000"]) {
      expect(() => toTopic({ kind: "up", tenant: "t", device, channel: "birth" })).toThrow(
        /cannot be part of a topic/u,
      );
    }
  });

  it("let a device publish only below its own up", () => {
    const own = { tenant: "acme", device: "cam-1" };
    expect(mayDevicePublish(own, "fairlead/v1/acme/cam-1/up/telemetry")).toBe(true);
    expect(mayDevicePublish(own, "fairlead/v1/acme/cam-2/up/telemetry")).toBe(false);
    expect(mayDevicePublish(own, "fairlead/v1/other/cam-1/up/telemetry")).toBe(false);
    expect(mayDevicePublish(own, "fairlead/v1/acme/cam-1/down/desired")).toBe(false);
    expect(mayDevicePublish(own, "fairlead/v1/acme/host")).toBe(false);
    expect(toDeviceFilters("acme", "cam-1").every((filter) => !filter.includes("cam-2"))).toBe(true);
  });
});
