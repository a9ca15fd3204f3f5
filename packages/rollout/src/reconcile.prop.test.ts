import fc from "fast-check";
import { expect, test } from "vitest";
import { isTouched } from "./standing.ts";
import { oldRelease } from "./testing/fleet.ts";
import { act, createHistory, event, happen, history, names } from "./testing/history.ts";

test("any history settles at once, or a few decisions at a time, offers nothing in quarantine, never passes a bad gate, and always finds the way back", () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 40 }),
      history,
      fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
      (...[events, about, atOnce]) => {
        const { shadow } = about;
        const fleet = createHistory(about);
        let confidence: number | null = null;
        const settle = (): void => {
          const stagesOf = new Map(fleet.record.devices.map(({ device, stageIndex }) => [device, stageIndex]));
          const decisions = fleet.settle(atOnce);
          for (const decision of decisions) {
            if (decision.kind === "offer" && decision.shadow !== null)
              expect(fleet.record.devices.find(({ device }) => device === decision.device)?.stageIndex).toBe(0);
            if (decision.kind === "offer")
              expect(fleet.fleet.find(({ device }) => device === decision.device)?.lifecycle).toBe("enrolled");
            if (decision.kind === "pass-stage") expect(confidence).toBe(0.95);
            expect(decision.code).not.toBe("");
            expect(decision.reason).not.toBe("");
          }
          expect(fleet.decide()).toEqual([]);
          for (const { device, stageIndex } of fleet.record.devices) {
            const before = stagesOf.get(device);
            if (typeof before !== "number" || stageIndex === null) continue;
            // A shadow's devices go on to the next stage; nobody else ever changes his.
            expect(shadow && before === 0 ? [0, 1] : [before]).toContain(stageIndex);
          }
          if (fleet.record.state === "rolled_back") expect(fleet.record.devices.some(isTouched)).toBe(false);
          if (fleet.record.stages.some(({ state }) => state === "failed"))
            expect(["running", "succeeded"]).not.toContain(fleet.record.state);
        };
        settle();
        for (const next of events) {
          if (next.kind === "evidence") confidence = next.requests >= 50 ? next.confidence : null;
          happen(fleet, next);
          settle();
        }
        // Whatever happened: a person aborts or undoes it, devices answer, and all are back.
        for (const action of ["abort", "undo", "retry"] as const) {
          if (!act(fleet, action)) continue;
          settle();
          for (const device of names) fleet.change(device, { online: true });
          for (const { device, phase } of fleet.record.devices) if (phase === "reverting") fleet.answer(device);
          settle();
        }
        if (fleet.record.state === "rolling_back") {
          for (const { device, phase } of fleet.record.devices) if (phase === "reverting") fleet.answer(device);
          settle();
        }
        expect(["rolled_back", "canceled", "failed"]).toContain(fleet.record.state);
        for (const { device, desired, running } of fleet.fleet) {
          expect([device, desired?.releaseId]).toEqual([device, oldRelease.releaseId]);
          expect([device, running?.releaseId]).toEqual([device, oldRelease.releaseId]);
        }
      },
    ),
    { numRuns: 300 },
  );
});
