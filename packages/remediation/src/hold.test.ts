import { describe, expect, test } from "vitest";
import type { DeviceObservation } from "./case.ts";
import { createPlane, failing, toObservation } from "./testing/plane.ts";

const config = failing({ kind: "configuration", name: "config.yaml", slot: null, sizeBytes: null });
const agent = failing({ kind: "agent", name: "agent/main.js", slot: null, sizeBytes: null });

function hold(changes: Partial<DeviceObservation> = {}) {
  const others = [1, 2, 3, 4, 5].map((number) => toObservation(`other-${number}`));
  const plane = createPlane([...others, toObservation("a", changes)]);
  const show = (state: "failed" | "verified", files: readonly (typeof config)[] = []): void => {
    plane.advance(120_000);
    plane.change("a", { integrity: { state, evidenceAtMs: plane.nowMs, failing: files } });
    plane.settle();
  };
  return { plane, show, ofRule: (rule: string) => plane.cases.filter((current) => current.rule === rule) };
}

describe("a device that is held for a tampered file", () => {
  test("has its model repaired in quarantine once only that still fails, and is released when all is right", () => {
    const { plane, show, ofRule } = hold();
    show("failed", [config, failing()]);
    expect(plane.commands).toEqual([]);
    show("failed", [failing()]);
    expect(ofRule("hold-tampered-device")).toMatchObject([{ code: "only_repairable_files", quarantine: "held" }]);
    expect(plane.seen("a").lifecycle).toBe("quarantined");
    expect(plane.commands.map(({ kind }) => kind)).toEqual(["stop-serving", "repair-artifact"]);
    plane.answer("a", "done");
    show("verified");
    expect(plane.seen("a").lifecycle).toBe("enrolled");
    expect(plane.cases.every(({ alert, endedAtMs }) => alert !== "firing" && endedAtMs !== null)).toBe(true);
  });

  test("is released when all is verified although the slot that failed too is empty by now", () => {
    const { plane, show } = hold();
    show("failed", [config, failing()]);
    plane.change("a", { slots: plane.seen("a").slots.map((slot) => ({ ...slot, serving: false })) });
    show("verified");
    expect(plane.seen("a").lifecycle).toBe("enrolled");
  });

  test("stays in quarantine, and no case says otherwise, while its identity is in doubt", () => {
    const { plane, show, ofRule } = hold();
    show("failed", [agent]);
    plane.change("a", { doubted: true });
    show("verified");
    expect(plane.seen("a").lifecycle).toBe("quarantined");
    expect(ofRule("hold-tampered-device")).toMatchObject([{ state: "resolved", quarantine: "held" }]);
  });

  test("is held by a case of its own after it was let out as a copy and enrolled anew", () => {
    const { plane, show, ofRule } = hold({ lifecycle: "quarantined", doubted: true });
    show("failed", [agent]);
    plane.change("a", { lifecycle: "pending", doubted: false });
    plane.settle();
    expect(ofRule("hold-tampered-device")).toMatchObject([{ state: "failed", code: "device_gone", alert: "resolved" }]);
    plane.change("a", { lifecycle: "enrolled" });
    show("failed", [agent]);
    expect(plane.seen("a").lifecycle).toBe("quarantined");
  });

  test("is held again when it leaves another quarantine while its case waits", () => {
    const { plane, show } = hold({ lifecycle: "quarantined", doubted: true });
    show("failed", [agent]);
    plane.change("a", { lifecycle: "enrolled", doubted: false });
    plane.settle();
    expect(plane.seen("a").lifecycle).toBe("quarantined");
    show("verified");
    expect(plane.seen("a").lifecycle).toBe("enrolled");
  });
});
