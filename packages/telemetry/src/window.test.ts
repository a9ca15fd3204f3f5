import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { telemetryWindowSchema, type Reading, type SlotWindow, type TelemetryWindow } from "@fairlead/protocol";
import { summarizeCohort } from "./cohort.ts";
import { toCount } from "./quantile.ts";
import { SlotAccumulator } from "./slot-accumulator.ts";
import { canMergeWindows, mergeWindows } from "./window.ts";

const identity = {
  slot: "reader",
  model: "digit-reader",
  version: "1.0.0",
  buildDigest: `sha256:${"a".repeat(64)}`,
  classifying: true,
};

interface SlotOptions {
  requests?: number;
  inputErrors?: number;
  version?: string;
  activeJ?: Reading;
}

function toSlot({
  requests = 20,
  inputErrors = 0,
  version = "1.0.0",
  activeJ = { value: 2 },
}: SlotOptions): SlotWindow {
  const accumulator = new SlotAccumulator({ ...identity, version });
  for (let index = 0; index < requests; index += 1) {
    accumulator.recordSuccess(100 + index);
    accumulator.recordPrediction(index % 10, 0.875);
    accumulator.recordOutput(0, 1, 0);
    accumulator.recordBusy(50);
  }
  for (let index = 0; index < inputErrors; index += 1) accumulator.recordError("input");
  const quotient = activeJ.value === null ? activeJ : { value: activeJ.value / requests };
  return { ...accumulator.take(), activeJ, joulesPerInference: quotient };
}

function toWindow(t0Ms: number, slots: SlotWindow[], source = "rapl:package-0"): TelemetryWindow {
  const none: Reading = { value: null, reason: "not measured here" };
  return telemetryWindowSchema.parse({
    t0Ms: 1_700_000_000_000 + t0Ms,
    t1Ms: 1_700_000_000_000 + t0Ms + 10_000,
    mergedWindows: 1,
    host: {
      cpuRatio: { value: t0Ms / 1e6 },
      memoryUsedBytes: none,
      memoryTotalBytes: none,
      temperatureC: none,
      diskFreeBytes: none,
      diskTotalBytes: none,
      throttled: none,
      uptimeS: none,
    },
    energy: {
      method: source === "model" ? "modelled" : "counter",
      scope: "package",
      source,
      totalJ: { value: 10 },
      idleJ: { value: 8 },
      activeJ: { value: 2 },
    },
    slots,
  });
}

describe("slot accumulator", () => {
  it("takes what was counted and starts again at zero", () => {
    const accumulator = new SlotAccumulator(identity);
    accumulator.recordSuccess(120);
    accumulator.recordPrediction(3, 0.97);
    accumulator.recordPrediction(-1, 0.5);
    accumulator.recordOutput(-1, 4, 2);
    accumulator.recordError("deadline");
    const counts = accumulator.take();
    expect(counts).toMatchObject({
      requests: 2,
      errors: { deadline: 1 },
      classCounts: { 3: 1 },
      outputMin: -1,
      outputMax: 4,
      nanCount: 2,
    });
    expect(counts.confidence?.bins[19]).toBe(1);
    expect(toCount(counts.latencyUs)).toBe(1);
    expect(accumulator.take()).toMatchObject({ requests: 0, errors: {}, classCounts: {}, outputMin: null });
    expect(accumulator.hasCounts()).toBe(false);
  });

  it("counts no classes for a model without a classification output", () => {
    const counts = new SlotAccumulator({ ...identity, classifying: false }).take();
    expect(counts).toMatchObject({ confidence: null, classCounts: null });
  });
});

describe("merged windows", () => {
  it("add counts and sketches and stay within the wire schema", () => {
    const merged = mergeWindows(toWindow(0, [toSlot({})]), toWindow(10_000, [toSlot({ requests: 30 })]));
    expect(telemetryWindowSchema.safeParse(merged).success).toBe(true);
    expect(merged.slots).toHaveLength(1);
    expect(merged.slots[0]).toMatchObject({ requests: 50, busyUs: 2_500, activeJ: { value: 4 } });
    expect(merged.slots[0]?.joulesPerInference).toEqual({ value: 4 / 50 });
    expect(merged.energy.totalJ).toEqual({ value: 20 });
    expect(merged).toMatchObject({ mergedWindows: 2, t0Ms: 1_700_000_000_000, t1Ms: 1_700_000_020_000 });
    expect(merged.host.cpuRatio.value).toBe(0.01);
  });

  it("keep builds apart", () => {
    const merged = mergeWindows(toWindow(0, [toSlot({})]), toWindow(10_000, [toSlot({ version: "1.1.0" })]));
    expect(merged.slots.map((slot) => slot.version)).toEqual(["1.0.0", "1.1.0"]);
  });

  it("never add a modelled value to a measured one", () => {
    const older = toWindow(0, [toSlot({})]);
    const newer = toWindow(10_000, [toSlot({}), toSlot({ version: "1.1.0" })], "model");
    const merged = mergeWindows(older, newer);
    expect(telemetryWindowSchema.safeParse(merged).success).toBe(true);
    expect(merged.energy.totalJ.value).toBeNull();
    expect(merged.slots.map((slot) => slot.activeJ.value)).toEqual([null, null]);
  });

  it("have no energy when a part has none", () => {
    const missing: Reading = { value: null, reason: "permission denied" };
    const merged = mergeWindows(toWindow(0, [toSlot({ activeJ: missing })]), toWindow(10_000, [toSlot({})]));
    expect(merged.slots[0]?.activeJ).toEqual(missing);
    expect(merged.slots[0]?.joulesPerInference).toEqual(missing);
  });

  it("lose no request whatever the order of merging", () => {
    const sizes = fc.array(fc.nat(40), { minLength: 3, maxLength: 6 });
    fc.assert(
      fc.property(sizes, (all) => {
        const windows = all.map((requests, index) => toWindow(index * 10_000, [toSlot({ requests: requests + 1 })]));
        const left = windows.reduce(mergeWindows);
        const right = windows.toReversed().reduce((newer, older) => mergeWindows(older, newer));
        expect(right.slots).toEqual(left.slots);
        expect(left.mergedWindows).toBe(all.length);
      }),
      { numRuns: 30 },
    );
  });

  it("are refused beforehand when they would not fit the schema", () => {
    const many = (offset: number) =>
      Array.from({ length: 40 }, (_, index) => toSlot({ requests: 1, version: `${index + offset}.0.0` }));
    expect(canMergeWindows(toWindow(0, many(0)), toWindow(1, many(0)))).toBe(true);
    expect(canMergeWindows(toWindow(0, many(0)), toWindow(1, many(40)))).toBe(false);
  });
});

describe("cohort", () => {
  it("does not blame the model for wrong input", () => {
    const broken = new SlotAccumulator(identity);
    broken.recordError("runtime");
    const failing = { ...broken.take(), nanCount: 3 };
    const summary = summarizeCohort([toSlot({ requests: 9, inputErrors: 5 }), failing]);
    expect(summary).toMatchObject({ requests: 15, errors: 1, inputErrors: 5, errorRatio: 0.1, nanCount: 3 });
    expect(summary.meanConfidence).toBe(0.875);
    expect(toCount(summary.latencyUs)).toBe(9);
  });

  it("has no ratio without requests", () => {
    const empty = { requests: 0, errors: 0, errorRatio: null, meanConfidence: null, classCounts: null };
    expect(summarizeCohort([])).toMatchObject(empty);
    expect(summarizeCohort([toSlot({ requests: 0, inputErrors: 4 })]).errorRatio).toBeNull();
  });
});
