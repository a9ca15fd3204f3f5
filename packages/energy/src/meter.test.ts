import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { energyWindowSchema } from "@fairlead/protocol";
import { attributeActiveJ } from "./attribution.ts";
import { energyDeltaJ } from "./counter.ts";
import { EnergyMeter } from "./meter.ts";
import type { EnergySource } from "./source.ts";
import { integratePowerJ } from "./trapezoid.ts";

const counter: EnergySource = {
  kind: "counter",
  source: "rapl:package-0",
  scope: "package",
  maxRangeUj: 262_143_328_850,
};
const power: EnergySource = { kind: "power", source: "hwmon:ina3221/VDD_IN", scope: "module" };
const modelled: EnergySource = { kind: "modelled", source: "nameplate", scope: "device", idleW: 4, maxW: 12 };
const limits = { maxRangeUj: 1_000_000_000 };

/** Feeds one sample a second, from `startS` on. */
function feed(meter: EnergyMeter, values: readonly (number | null)[], startS = 0): void {
  values.forEach((value, index) => {
    const reading = value === null ? { value, reason: "permission denied" } : { value };
    meter.record({ atMs: (startS + index) * 1_000, reading });
  });
}

const busy = { slots: [{ busyUs: 1_000_000, inferences: 100 }], hostBusyUs: null };
const quiet = { slots: [{ busyUs: 0, inferences: 0 }], hostBusyUs: null };
const range = (length: number, at: (index: number) => number) => Array.from({ length }, (_, index) => at(index));

describe("energy counter", () => {
  it("tells a first sample, a step, a wrap, a reset and a hole apart", () => {
    const prev = { atMs: 0, energyUj: 999_000_000 };
    expect(energyDeltaJ(null, prev, limits)).toEqual({ kind: "first-sample" });
    expect(energyDeltaJ(prev, { atMs: 100, energyUj: 999_500_000 }, limits)).toEqual({
      kind: "counted",
      energyJ: 0.5,
      wrapped: false,
    });
    expect(energyDeltaJ(prev, { atMs: 100, energyUj: 500_000 }, limits)).toEqual({
      kind: "counted",
      energyJ: 1.5,
      wrapped: true,
    });
    expect(energyDeltaJ({ atMs: 0, energyUj: 500_000_000 }, { atMs: 100, energyUj: 0 }, limits).kind).toBe("reset");
    expect(energyDeltaJ(prev, { atMs: 100, energyUj: 0 }, { maxRangeUj: null }).kind).toBe("reset");
    expect(energyDeltaJ(prev, { atMs: 60_000, energyUj: 0 }, limits).kind).toBe("gap");
  });

  it("counts the true energy across any wrap", () => {
    const steps = fc.array(fc.nat(50_000_000), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(steps, fc.nat(999_999_999), (all, start) => {
        let raw = start;
        let counted = 0;
        all.forEach((step, index) => {
          const prev = { atMs: index * 100, energyUj: raw };
          raw = (raw + step) % limits.maxRangeUj;
          const delta = energyDeltaJ(prev, { atMs: (index + 1) * 100, energyUj: raw }, limits);
          counted += delta.kind === "counted" ? delta.energyJ : Number.NaN;
        });
        expect(counted).toBeCloseTo(all.reduce((sum, step) => sum + step, 0) / 1e6, 6);
      }),
    );
  });
});

describe("integrated power", () => {
  it("is exact for power that changes linearly", () => {
    const samples = [0, 1, 4, 10].map((second) => ({ atMs: second * 1_000, powerW: 2 + second }));
    expect(integratePowerJ(samples)).toBeCloseTo(20 + 50, 9);
  });
});

describe("energy meter", () => {
  it("labels every window with its method, scope and source", () => {
    for (const [source, method] of [
      [counter, "counter"],
      [power, "integrated"],
      [modelled, "modelled"],
    ] as const) {
      const { energy } = new EnergyMeter({ source, periodMs: 1_000 }).take(busy);
      expect(energyWindowSchema.parse(energy)).toMatchObject({ method, scope: source.scope, source: source.source });
      expect(energy.totalJ.value).toBeNull();
    }
  });

  it("models power between idle and full load", () => {
    const meter = new EnergyMeter({ source: modelled, periodMs: 1_000 });
    feed(
      meter,
      range(11, () => 0.5),
    );
    const { energy, slots } = meter.take(busy);
    expect(energy).toMatchObject({ totalJ: { value: 80 }, idleJ: { value: 40 }, activeJ: { value: 40 } });
    expect(slots[0]).toEqual({ activeJ: { value: 40 }, joulesPerInference: { value: 0.4 } });
  });

  it("loses no energy between two windows", () => {
    const meter = new EnergyMeter({ source: counter, periodMs: 1_000 });
    feed(
      meter,
      range(5, (index) => index * 1e6),
    );
    const first = meter.take(busy).energy.totalJ.value ?? 0;
    feed(
      meter,
      range(5, (index) => (index + 5) * 1e6),
      5,
    );
    expect(first + (meter.take(busy).energy.totalJ.value ?? 0)).toBe(9);
  });

  it("learns a measured source's idle power from a window without work", () => {
    const meter = new EnergyMeter({ source: counter, periodMs: 1_000 });
    feed(
      meter,
      range(11, (index) => index * 3e6),
    );
    expect(meter.take(busy).energy.activeJ).toMatchObject({ value: null });
    feed(
      meter,
      range(10, (index) => 30e6 + (index + 1) * 2e6),
      11,
    );
    meter.take(quiet);
    feed(
      meter,
      range(10, (index) => 50e6 + (index + 1) * 5e6),
      21,
    );
    const { energy } = meter.take(busy);
    expect(energy).toMatchObject({ totalJ: { value: 50 }, idleJ: { value: 20 }, activeJ: { value: 30 } });
  });

  it("keeps the reason when the source cannot be read", () => {
    const meter = new EnergyMeter({ source: counter, periodMs: 1_000 });
    feed(meter, [null, null, null]);
    expect(meter.take(busy).energy.totalJ).toEqual({ value: null, reason: "permission denied" });
  });

  it("bridges a missing counter sample and refuses a long hole in power", () => {
    const counted = new EnergyMeter({ source: counter, periodMs: 1_000 });
    feed(counted, [0, null, null, null, 8e6]);
    expect(counted.take(busy).energy.totalJ).toEqual({ value: 8 });
    const integrated = new EnergyMeter({ source: power, periodMs: 1_000 });
    feed(integrated, [5, null, null, null, 5]);
    expect(integrated.take(busy).energy.totalJ.value).toBeNull();
  });

  it("refuses joules per inference for few inferences and short windows", () => {
    const few = { slots: [{ busyUs: 1, inferences: 9 }], hostBusyUs: null };
    const meter = new EnergyMeter({ source: modelled, periodMs: 1_000 });
    feed(
      meter,
      range(11, () => 1),
    );
    expect(meter.take(few).slots[0]?.joulesPerInference).toMatchObject({
      value: null,
      reason: expect.stringContaining("9 inferences"),
    });
    feed(
      meter,
      range(5, () => 1),
      11,
    );
    expect(meter.take(busy).slots[0]?.joulesPerInference).toMatchObject({
      value: null,
      reason: expect.stringContaining("sensor periods"),
    });
  });
});

describe("attribution", () => {
  it("never gives the slots more than there is, and shares by busy time", () => {
    const loads = fc.array(fc.nat(1_000_000), { maxLength: 8 });
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), loads, fc.option(fc.nat()), (energy, all, host) => {
        const shares = attributeActiveJ({ value: energy }, all, host);
        const sum = shares.reduce((total, share) => total + (share.value ?? 0), 0);
        expect(sum).toBeLessThanOrEqual(energy * (1 + 1e-9));
        expect(shares.every(({ value }) => value !== null && value >= 0)).toBe(true);
      }),
    );
    expect(attributeActiveJ({ value: 10 }, [1, 3], null)).toEqual([{ value: 2.5 }, { value: 7.5 }]);
    expect(attributeActiveJ({ value: 10 }, [1, 3], 8)).toEqual([{ value: 1.25 }, { value: 3.75 }]);
  });
});
