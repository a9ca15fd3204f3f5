import { describe, expect, test } from "vitest";
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
});
