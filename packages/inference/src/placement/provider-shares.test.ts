import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { toProviderShares } from "./provider-shares.ts";

const node = (provider: string, dur: number) => ({ cat: "Node", dur, args: { provider, op_name: "Conv" } });

describe("the shares of providers in a profile", () => {
  it("are shares of node time, and other events do not count", () => {
    const events = [
      { cat: "Session", name: "model_run", dur: 900, args: {} },
      node("CPUExecutionProvider", 100),
      node("WebGpuExecutionProvider", 250),
      node("WebGpuExecutionProvider", 50),
      node("HouseExecutionProvider", 0),
    ];
    expect(toProviderShares(events)).toEqual({
      cpu: 100 / 401,
      webgpu: 300 / 401,
      HouseExecutionProvider: 1 / 401,
    });
  });

  it("are unknown when no node was timed or the profile is none", () => {
    for (const value of [[], [{ cat: "Session", dur: 5 }], {}, null, "x", [node("CPUExecutionProvider", Number.NaN)]])
      expect(toProviderShares(value)).toBeNull();
  });

  it("add up to one whatever the profile holds", () => {
    const event = fc.oneof(
      fc.anything(),
      fc.tuple(fc.constantFrom("CPUExecutionProvider", "X"), fc.double()).map(([name, dur]) => node(name, dur)),
    );
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const shares = toProviderShares(events);
        if (shares === null) return;
        const total = Object.values(shares).reduce((sum, share) => sum + share, 0);
        expect(Math.abs(total - 1)).toBeLessThan(1e-9);
      }),
    );
  });
});
