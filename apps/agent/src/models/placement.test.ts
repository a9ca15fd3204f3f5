import { expect, it } from "vitest";
import { toMissedPlacement, toProviders } from "./placement.ts";

const report = (requestedProviders: string[], shares: Record<string, number> | null) => ({
  requestedProviders,
  shares,
  proof: "why",
});

it("misses only a provider of which it is proved that nothing ran there", () => {
  expect(toMissedPlacement(report(["webgpu", "cpu"], { cpu: 1 }))).toEqual({
    wanted: "webgpu",
    share: 0,
    reason: "why",
  });
  for (const fine of [
    report(["webgpu", "cpu"], { webgpu: 0.1, cpu: 0.9 }),
    report(["webgpu", "cpu"], null),
    report(["cpu"], { cpu: 1 }),
    report([], null),
  ])
    expect(toMissedPlacement(fine)).toBeNull();
});

it("loads with what the build names and the device offers, in the device's order", () => {
  expect(toProviders(["cpu", "webgpu"], ["webgpu", "cuda", "cpu"])).toEqual(["webgpu", "cpu"]);
  expect(toProviders(["cuda"], ["cpu"])).toEqual(["cuda"]);
});
