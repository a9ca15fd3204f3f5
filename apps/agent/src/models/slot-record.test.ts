import { describe, expect, it } from "vitest";
import { createSlotRecord, toExpectedModels, type InstalledBuild, type SlotRecord } from "./slot-record.ts";

const toBuild = (version: string, seed: string): InstalledBuild => ({
  ...{ releaseId: "rel-1", model: "digit-reader", version, golden: null, latencyP95Ms: null, repeats: 1 },
  ...{ artifact: { digest: `sha256:${seed.repeat(64)}`, sizeBytes: 1 }, classification: null, providers: ["cpu"] },
});
const record: SlotRecord = { ...createSlotRecord("reader"), active: toBuild("1.0.0", "a") };

describe("what clients of a process that starts may wait for", () => {
  it("is the installed model, and nothing where none is or may be served", () => {
    expect(toExpectedModels(record)).toEqual([{ slot: "reader", model: "digit-reader", version: "1.0.0" }]);
    expect(toExpectedModels(createSlotRecord("reader"))).toEqual([]);
    expect(toExpectedModels({ ...record, stopped: { reason: "stopped" } })).toEqual([]);
    expect(toExpectedModels({ ...record, distrusted: [`sha256:${"a".repeat(64)}`] })).toEqual([]);
  });
});
