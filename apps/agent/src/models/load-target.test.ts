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

  it("makes the device offer what any of them offers", () => {
    expect(listProviders(offers)).toEqual(["cpu", "tensorrt", "qnn"]);
  });
});
