import { describe, expect, it } from "vitest";
import type { DesiredSlotRow } from "@fairlead/store";
import { isConfirmed, toObservation } from "./observe.ts";
import { digestOf, nowMs, toDeviceRow } from "./testing/device-row.ts";

const ended = { state: "rolled_back", rolloutId: "rol-1", attempt: 1 } as const;

describe("whether remediation may judge what a slot runs", () => {
  it("is so once the job that was asked for last has ended", () => {
    expect(isConfirmed({ ...ended, state: "soaking" }, { rolloutId: "rol-1", attempt: 1 })).toBe(false);
    expect(isConfirmed(ended, { rolloutId: "rol-1", attempt: 1 })).toBe(true);
    expect(isConfirmed(null, undefined)).toBe(true);
    expect(isConfirmed(ended, undefined)).toBe(true);
  });

  it("is not so while a rollout's newer request is on its way, such as the one to go back", () => {
    expect(isConfirmed(ended, { rolloutId: "rol-1", attempt: 2 })).toBe(false);
    expect(isConfirmed(ended, { rolloutId: "rol-2", attempt: 1 })).toBe(false);
  });

  it("is so after remediation itself changed what is asked of the slot", () => {
    expect(isConfirmed(ended, { rolloutId: null, attempt: 2 })).toBe(true);
  });
});

describe("a damaged model file", () => {
  const toFailing = (knownDigests: readonly string[]) => {
    const measurement = { kind: "model", name: "slot/reader", expected: digestOf("a"), actual: digestOf("c") } as const;
    const device = toDeviceRow("cam-1", {
      ...{ integrity: "failed", measurements: [{ ...measurement, reason: null }] },
      fileBaseline: { trust: "first-use", recordedAtMs: 0, digests: {} },
    });
    const row: DesiredSlotRow = {
      ...{ device: "cam-1", slot: "reader", releaseId: "rel-2", model: "m", version: "1.1.0", rolloutId: null },
      ...{ attempt: 1, soakMs: 0, release: null, knownDigests, updatedAtMs: nowMs, shadow: null },
    };
    const sizes = new Map([[digestOf("a"), 10]]);
    const failed = { device, rows: [row], sizes };
    const nothing = { doubted: false, clockSkewMs: null, crashes: [], commands: [], listeningSinceMs: nowMs };
    return toObservation(device, { ...nothing, asked: [row], failed }).integrity.failing;
  };

  it("of an earlier release, to which the device went back by itself, has a size and so can be repaired", () => {
    expect(toFailing([digestOf("b"), digestOf("a")])).toMatchObject([{ expected: digestOf("a"), sizeBytes: 10 }]);
  });

  it("that the slot was never asked to run has none", () => {
    expect(toFailing([digestOf("b")])).toMatchObject([{ expected: digestOf("a"), sizeBytes: null }]);
  });
});
