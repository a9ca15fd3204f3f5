import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideHeat, hysteresisC, isHot, noHeat, toHeatReason, type Heat } from "./heat.ts";

const limits = { warnC: 85, criticalC: 100 };
const toReading = (value: number | null) => (value === null ? { value, reason: "absent" } : { value });
const toHost = (throttled: number | null, temperatureC: number | null) => ({
  throttled: toReading(throttled),
  temperatureC: toReading(temperatureC),
});
const temperature = fc.option(
  fc.oneof(fc.double({ min: -40, max: 150, noNaN: true }), fc.double({ min: 78, max: 87, noNaN: true })),
  { nil: null },
);
const sensor = fc.option(fc.constantFrom(0, 0.2, 1), { nil: null });
const heat: fc.Arbitrary<Heat> = fc.record({ throttled: fc.boolean(), warm: fc.boolean() });

describe("whether the device is hot", () => {
  it("is so at its limit with no sensor that says it throttles, and until it is well below", () => {
    const steps: [number | null, boolean][] = [
      ...([
        [84.9, false],
        [85, true],
        [84, true],
        [80, true],
        [null, true],
        [79.9, false],
      ] as [number | null, boolean][]),
      ...([
        [84.9, false],
        [null, false],
        [120, true],
      ] as [number | null, boolean][]),
    ];
    let now = noHeat;
    for (const [temperatureC, wanted] of steps) {
      now = decideHeat(now, toHost(null, temperatureC), limits);
      expect(isHot(now), `at ${temperatureC}`).toBe(wanted);
    }
  });

  it("goes by the critical limit where no other is known, and by the sensor alone where none is", () => {
    expect(isHot(decideHeat(noHeat, toHost(0, 99.9), { warnC: null, criticalC: 100 }))).toBe(false);
    expect(isHot(decideHeat(noHeat, toHost(0, 100), { warnC: null, criticalC: 100 }))).toBe(true);
    const none = { warnC: null, criticalC: null };
    expect(isHot(decideHeat(noHeat, toHost(0, 149), none))).toBe(false);
    expect(isHot(decideHeat(noHeat, toHost(0.1, null), none))).toBe(true);
  });

  it("is decided by each reading alone: hot at or above the limit, cool well below it, unchanged when nothing is read", () => {
    fc.assert(
      fc.property(heat, sensor, temperature, (before, throttled, temperatureC) => {
        const now = decideHeat(before, toHost(throttled, temperatureC), limits);
        expect(now.throttled).toBe(throttled === null ? before.throttled : throttled > 0);
        if (temperatureC === null) expect(now.warm).toBe(before.warm);
        else if (temperatureC >= limits.warnC) expect(now.warm).toBe(true);
        else if (temperatureC < limits.warnC - hysteresisC) expect(now.warm).toBe(false);
        else expect(now.warm).toBe(before.warm);
        expect(decideHeat(now, toHost(throttled, temperatureC), limits), "twice is once").toEqual(now);
      }),
    );
  });

  it("changes at most once while a temperature stays within the hysteresis", () => {
    const near = fc.double({ min: limits.warnC - hysteresisC, max: limits.warnC + hysteresisC - 0.01, noNaN: true });
    fc.assert(
      fc.property(fc.array(near, { maxLength: 40 }), (temperatures) => {
        let [now, changes] = [noHeat, 0];
        for (const temperatureC of temperatures) {
          const next = decideHeat(now, toHost(0, temperatureC), limits);
          if (isHot(next) !== isHot(now)) changes += 1;
          now = next;
        }
        expect(changes).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("says what was read and which limit it is about, within the wire's 256 characters", () => {
    const both = { throttled: true, warm: true };
    expect(toHeatReason(both, 91.26, limits)).toBe(
      "at 91.3 °C; the board's sensor says that it throttles; the limit is 85 °C",
    );
    expect(toHeatReason({ throttled: false, warm: true }, 104, limits)).toBe(
      "at 104.0 °C; the critical limit is 100 °C",
    );
    expect(toHeatReason({ throttled: true, warm: false }, null, limits)).toBe(
      "no temperature; the board's sensor says that it throttles",
    );
    expect(toHeatReason(noHeat, 20, limits)).toBe("at 20.0 °C");
  });
});
