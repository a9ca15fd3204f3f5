import { describe, expect, it } from "vitest";
import { listProviders, toLoadTarget, type DeviceOffers } from "./load-target.ts";

const offers: DeviceOffers = {
  providers: ["cpu"],
  runtimes: [
    { name: "triton", providers: ["tensorrt", "cpu"], slots: ["lane"] },
    { name: "other", providers: ["qnn"], slots: [] },
  ],
};

describe("the runtime of a load", () => {
  it("is the slot's own, with the providers that the build and it have in common", () => {
    expect(toLoadTarget("lane", ["cpu"], offers)).toEqual({ runtime: "triton", providers: ["cpu"] });
    expect(toLoadTarget("lane", ["cpu", "tensorrt"], offers)).toEqual({
      runtime: "triton",
      providers: ["tensorrt", "cpu"],
    });
    expect(toLoadTarget("lane", ["qnn"], offers)).toEqual({ runtime: "triton", providers: ["qnn"] });
  });

  it("is what offers the first provider that the build names, the serving process before others", () => {
    expect(toLoadTarget("main", ["cpu"], offers)).toEqual({ providers: ["cpu"] });
    expect(toLoadTarget("main", ["qnn", "cpu"], offers)).toEqual({ runtime: "other", providers: ["qnn"] });
    expect(toLoadTarget("main", ["cpu", "qnn"], offers)).toEqual({ providers: ["cpu"] });
    expect(toLoadTarget("main", ["dml"], offers)).toEqual({ providers: ["dml"] });
    expect(toLoadTarget("main", ["tensorrt"], { ...offers, providers: ["tensorrt"] })).toEqual({
      providers: ["tensorrt"],
    });
  });

  it("is what the slot says, and without the cpu where an accelerator is required", () => {
    const slots = {
      fast: { providers: ["webgpu" as const, "cpu" as const], require: false },
      strict: { providers: ["webgpu" as const, "cpu" as const], require: true },
      lane: { providers: null, require: true },
    };
    const device: DeviceOffers = { ...offers, slots, loadTimeoutMs: 5 };
    expect(toLoadTarget("fast", ["cpu", "webgpu"], device)).toEqual({
      providers: ["webgpu", "cpu"],
      loadDeadlineMs: 5,
    });
    expect(toLoadTarget("main", ["webgpu", "cpu"], device)).toEqual({ providers: ["cpu"], loadDeadlineMs: 5 });
    expect(toLoadTarget("strict", ["cpu", "webgpu"], device)).toEqual({ providers: ["webgpu"], loadDeadlineMs: 5 });
    expect(toLoadTarget("lane", ["cpu", "tensorrt"], device)).toEqual({ runtime: "triton", providers: ["tensorrt"] });
    for (const slot of ["strict", "lane"])
      expect(() => toLoadTarget(slot, ["cpu"], device)).toThrow(
        expect.objectContaining({ code: "accelerator_required" }),
      );
    expect(listProviders(device)).toEqual(["cpu", "tensorrt", "qnn", "webgpu"]);
  });

  it("makes the device offer what any of them offers", () => {
    expect(listProviders(offers)).toEqual(["cpu", "tensorrt", "qnn"]);
  });
});
