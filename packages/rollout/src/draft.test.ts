import { describe, expect, it } from "vitest";
import { RolloutDraft } from "./draft.ts";
import { createFleet, startMs, toDevice, toSpec } from "./testing/fleet.ts";

const because = { code: "tested", reason: "a test says so", numbers: {} };
const toRecord = () => {
  const fleet = createFleet(
    toSpec(),
    ["a", "b", "c"].map((name) => toDevice(name)),
  );
  fleet.settle();
  return fleet.record;
};

describe("a rollout's draft", () => {
  it("refuses a decision about a device that takes no part, and is as it was", () => {
    const record = toRecord();
    const draft = new RolloutDraft(record);
    const decision = { kind: "confirm-revert", device: "z", ...because } as const;
    expect(() => draft.apply(decision, startMs)).toThrow(expect.objectContaining({ code: "device_unknown" }));
    expect(draft.record).toBe(record);
  });

  it("shows each decision at once, leaves the record that it began with, and keeps the order of the devices", () => {
    const record = toRecord();
    const before = structuredClone(record);
    const draft = new RolloutDraft(record);
    const [, second] = record.devices.map(({ device }) => device);
    draft.apply({ kind: "exclude-device", device: second ?? "", ...because, code: "not_selected" }, startMs);
    expect(draft.find(second ?? "")).toMatchObject({ phase: "excluded", stageIndex: null });
    draft.apply({ kind: "pause", pauseReason: "trust", ...because }, startMs);
    expect(draft.record).toMatchObject({ state: "paused", pauseReason: "trust" });
    expect(draft.record.devices.map(({ device }) => device)).toEqual(record.devices.map(({ device }) => device));
    expect(draft.record.devices[1]).toMatchObject({ phase: "excluded" });
    expect(record).toEqual(before);
  });
});
