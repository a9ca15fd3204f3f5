import type { SlotWindow } from "@fairlead/protocol";
import { describe, expect, it } from "vitest";
import { toInferenceMetrics } from "../http/inference-metrics.ts";
import { InferenceTotals } from "./inference-totals.ts";

const latencyUs = { scale: 0, zeroCount: 0, offset: 0, counts: [10], sum: 2_000_000, min: 1, max: 2 };
const noEnergy = { value: null, reason: "no sensor" };

function toWindow(change: Partial<SlotWindow> = {}): SlotWindow {
  return {
    ...{ slot: "reader", model: "digits", version: "1.0.0", buildDigest: `sha256:${"a".repeat(64)}` },
    ...{ requests: 10, errors: { runtime: 1, input: 1 }, latencyUs, confidence: null, classCounts: null },
    ...{ outputMin: null, outputMax: null, nanCount: 0, busyUs: 500_000 },
    ...{ activeJ: { value: 4 }, joulesPerInference: { value: 0.5 }, ...change },
  };
}

/** The samples, without what stands above them. */
const toSamples = (totals: InferenceTotals): string[] =>
  toInferenceMetrics(totals.all)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));

describe("what the plane's metrics say of inference", () => {
  it("is the sum of the windows of all devices per slot, model and version, in base units", () => {
    const totals = new InferenceTotals();
    for (let device = 0; device < 3; device += 1) totals.add({ window: toWindow(), energyMethod: "counter" });
    totals.add({
      window: toWindow({ version: "1.1.0", requests: 1, errors: {}, activeJ: noEnergy }),
      energyMethod: "counter",
    });
    const one = 'slot="reader",model="digits",version="1.0.0"';
    const two = 'slot="reader",model="digits",version="1.1.0"';
    expect(toSamples(totals)).toEqual([
      `fairlead_inference_requests_total{${one}} 30`,
      `fairlead_inference_requests_total{${two}} 1`,
      `fairlead_inference_errors_total{${one},kind="runtime"} 3`,
      `fairlead_inference_errors_total{${one},kind="input"} 3`,
      `fairlead_inference_request_seconds_total{${one}} 6`,
      `fairlead_inference_request_seconds_total{${two}} 2`,
      `fairlead_inference_run_seconds_total{${one}} 1.5`,
      `fairlead_inference_run_seconds_total{${two}} 0.5`,
      `fairlead_inference_energy_joules_total{${one},method="counter"} 12`,
      `fairlead_inference_energy_inferences_total{${one},method="counter"} 24`,
      `fairlead_inference_joules_per_inference{${one},method="counter"} 0.5`,
    ]);
  });

  it("never adds what was measured to what was modelled, and leaves out a shadow, whom nobody asked", () => {
    const totals = new InferenceTotals();
    totals.add({ window: toWindow(), energyMethod: "counter" });
    totals.add({ window: toWindow({ activeJ: { value: 100 } }), energyMethod: "modelled" });
    const comparison = { skipped: 0, compared: 1, agreed: 1, maxDifference: null, activeLatencyUs: latencyUs };
    totals.add({ window: toWindow({ version: "2.0.0", shadow: comparison }), energyMethod: "counter" });
    expect(toSamples(totals).filter((line) => line.includes("joules_total"))).toEqual([
      expect.stringMatching(/method="counter"\} 4$/u),
      expect.stringMatching(/method="modelled"\} 100$/u),
    ]);
    expect(toSamples(totals).join()).not.toContain("2.0.0");
  });

  it("has a bounded number of series, whatever devices call their slots, and loses no count", () => {
    const totals = new InferenceTotals(5);
    for (let index = 0; index < 1_000; index += 1)
      totals.add({
        window: toWindow({ slot: index % 2 === 0 ? "other" : `s${index}`, version: `1.0.${index}` }),
        energyMethod: "counter",
      });
    expect(totals.all).toHaveLength(6);
    const requests = toSamples(totals).filter((line) => line.startsWith("fairlead_inference_requests_total"));
    expect(requests).toHaveLength(6);
    expect(requests.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)).toBe(10_000);
    expect(requests.at(-1)).toBe('fairlead_inference_requests_total{slot="other",model="other",version="other"} 9950');
  });
});
