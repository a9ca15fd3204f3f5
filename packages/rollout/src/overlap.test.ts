import { describe, expect, test } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { createFleet, newRelease, toDevice, toSpec } from "./testing/fleet.ts";

const other = { releaseId: "rel-newer", version: "2.0.0" };
const newer = "ro-2";

/** A rollout that succeeded on one device. */
function toSucceeded() {
  const stages = [{ name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0 }];
  const fleet = createFleet(toSpec({ stages, deviceSoakMs: 0 }), [toDevice("old-1")]);
  fleet.settle();
  fleet.answerAll();
  fleet.advance(1_000);
  fleet.settle();
  expect(fleet.record.state).toBe("succeeded");
  return fleet;
}

describe("a device that two rollouts of one slot select", () => {
  test("is offered the release when it joins late, while no newer rollout selects it", () => {
    const fleet = toSucceeded();
    fleet.change("late-1", { desired: null, running: null });
    expect(fleet.settle()).toContainEqual(expect.objectContaining({ kind: "offer", device: "late-1" }));
  });

  test("is the newer one's alone when it joins late", () => {
    const fleet = toSucceeded();
    fleet.change("late-1", { desired: null, running: null, claimedBy: newer });
    expect(fleet.decide()).toEqual([]);
  });

  test("is let go once the newer one has taken it, whatever was asked of it and not answered", () => {
    const fleet = toSucceeded();
    fleet.change("late-1", { desired: null, running: null });
    fleet.settle();
    const taken = { desired: { ...other, rolloutId: newer, attempt: 1 }, desiredSeen: false, claimedBy: newer };
    fleet.change("late-1", taken);
    expect(fleet.settle()).toEqual([
      expect.objectContaining({ kind: "exclude-device", device: "late-1", code: "superseded" }),
    ]);
    expect(fleet.decide()).toEqual([]);
  });

  test("is not asked again for what it once ran, when the newer one has given it another release", () => {
    const fleet = toSucceeded();
    fleet.change("old-1", { desired: { ...other, rolloutId: newer, attempt: 1 }, running: other, claimedBy: newer });
    expect(fleet.decide()).toEqual([]);
    expect(fleet.record.devices).toMatchObject([{ device: "old-1", outcome: { state: "succeeded" } }]);
    expect(newRelease.releaseId).toBe(fleet.record.releaseId);
  });

  test("stays with the newer one when the older one is undone, although both roll out the same release", () => {
    const fleet = toSucceeded();
    const desired = { ...newRelease, rolloutId: newer, attempt: 1 };
    fleet.change("old-1", { desired, desiredSeen: false, online: false, claimedBy: newer });
    fleet.record = applyRolloutAction(fleet.record, { action: "undo", actor: "ada", reason: "" }, fleet.nowMs);
    expect(fleet.settle()).toEqual([
      expect.objectContaining({ kind: "exclude-device", device: "old-1", code: "superseded" }),
      expect.objectContaining({ kind: "finish", state: "rolled_back" }),
    ]);
  });
});

describe("a stage whose last devices a newer rollout takes", () => {
  const stages = [
    { name: "canary", target: { kind: "percent", percent: 50 }, soakMs: 0 },
    { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 0 },
  ];
  /** The canary has passed; the device of the second stage works on it. */
  function toSecondStage() {
    const fleet = createFleet(toSpec({ stages, deviceSoakMs: 0 }), [toDevice("d-1"), toDevice("d-2")]);
    fleet.settle();
    fleet.answerAll();
    fleet.settle();
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["passed", "running"]);
    const canary = fleet.record.devices.find(({ stageIndex }) => stageIndex === 0)?.device;
    const last = fleet.record.devices.find(({ stageIndex }) => stageIndex === 1)?.device ?? "";
    return { fleet, canary, last };
  }

  test("is skipped, and what had passed before it stays", () => {
    const { fleet, canary, last } = toSecondStage();
    fleet.change(last, { desired: { ...other, rolloutId: newer, attempt: 1 }, claimedBy: newer });
    fleet.settle();
    expect(fleet.record.state).toBe("succeeded");
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["passed", "skipped"]);
    expect(fleet.fleet.find(({ device }) => device === canary)?.desired).toMatchObject(newRelease);
  });

  test("is skipped at its time limit too, and never counted against the release", () => {
    const { fleet, last } = toSecondStage();
    fleet.change(last, { desired: { ...other, rolloutId: newer, attempt: 1 }, claimedBy: newer });
    fleet.advance(10_000_000);
    fleet.settle();
    expect(fleet.record.state).toBe("succeeded");
  });

  test("fails when a device of it had failed before it left", () => {
    const { fleet, last } = toSecondStage();
    // One that may fail, so that the stage goes on until the device has left.
    fleet.record = {
      ...fleet.record,
      devices: fleet.record.devices.map((device) =>
        device.device === last
          ? {
              ...device,
              outcome: { attempt: 1, state: "failed", code: "crashed", reason: "it crashed", selfTestPassed: true },
            }
          : device,
      ),
    };
    fleet.change(last, { lifecycle: "decommissioned" });
    fleet.advance(10_000_000);
    fleet.settle();
    expect(fleet.record.stages.map(({ state }) => state)).toEqual(["passed", "failed"]);
    expect(fleet.record.state).toBe("rolling_back");
  });
});
