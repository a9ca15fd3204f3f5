import { toDeviceFilters, toTopic } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { createPermissions } from "./permissions.ts";

describe("what a device may hear", () => {
  const certificate = { fingerprint: "sha256:0", serialNumber: "01", notAfterMs: 2_000_000_000_000 };
  const own = createPermissions({ tenant: "acme", device: "cam-1", ...certificate });

  it("A27 is its own and the plane's status, even where a subscription were granted that asks for more", () => {
    const down = (tenant: string, device: string) => toTopic({ kind: "down", tenant, device, channel: "desired" });
    expect(own.mayReceive(down("acme", "cam-1"))).toBe(true);
    expect(own.mayReceive(toTopic({ kind: "host", tenant: "acme" }))).toBe(true);
    const foreign = [
      ...[down("acme", "cam-2"), down("globex", "cam-1"), toTopic({ kind: "host", tenant: "globex" })],
      toTopic({ kind: "up", tenant: "acme", device: "cam-1", channel: "telemetry" }),
      ...["$SYS/x", "$share/g/x", "a", "", `${down("acme", "cam-1")}/deeper`],
    ];
    for (const topic of foreign) expect(own.mayReceive(topic), topic).toBe(false);
  });

  it("A27 is asked for in its own words, which are no other device's", () => {
    const filters = toDeviceFilters("acme", "cam-1");
    expect(filters.length).toBeGreaterThan(2);
    expect(filters.every((filter) => own.maySubscribe(filter))).toBe(true);
    const foreign = toDeviceFilters("acme", "cam-2").filter((filter) => !filters.includes(filter));
    expect(foreign.length).toBeGreaterThan(1);
    expect(foreign.some((filter) => own.maySubscribe(filter))).toBe(false);
  });
});
