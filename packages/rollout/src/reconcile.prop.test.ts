import fc from "fast-check";
import type { RolloutAction } from "@fairlead/protocol";
import { expect, test } from "vitest";
import { applyRolloutAction } from "./actions.ts";
import { isTouched } from "./standing.ts";
import { createFleet, oldRelease, toCohort, toDevice, toSpec } from "./testing/fleet.ts";

const names = ["a", "b", "c", "d", "e", "f"];
const name = fc.constantFrom(...names);
const event = fc.oneof(
  fc.record({ kind: fc.constant("advance" as const), ms: fc.constantFrom(0, 1_000, 10_000, 70_000) }),
  fc.record({ kind: fc.constant("online" as const), name, online: fc.boolean() }),
  fc.record({
    kind: fc.constant("lifecycle" as const),
    name,
    lifecycle: fc.constantFrom("enrolled" as const, "quarantined" as const),
  }),
  fc.record({
    kind: fc.constant("answer" as const),
    name,
    state: fc.constantFrom(
      "downloading" as const,
      "succeeded" as const,
      "succeeded" as const,
      "failed" as const,
      "rolled_back" as const,
    ),
  }),
  fc.record({ kind: fc.constant("withdraw" as const), name, runs: fc.boolean() }),
  fc.record({
    kind: fc.constant("evidence" as const),
    confidence: fc.constantFrom(null, 0.2, 0.95, 0.95, Number.NaN),
    requests: fc.constantFrom(0, 49, 50, 1_000),
  }),
  fc.record({
    kind: fc.constant("action" as const),
    action: fc.constantFrom<RolloutAction>("pause", "resume", "abort", "retry", "undo"),
  }),
);
const spec = (control: string | null, onFailure: string, shadow: boolean) =>
  toSpec({
    control,
    onFailure,
    stages: [10, 50, 100].map((percent) => ({
      name: `p${percent}`,
      shadow: shadow && percent === 10 ? {} : null,
      target: { kind: "percent", percent },
      soakMs: 10_000,
      timeoutMs: 60_000,
      maxFailures: { count: 1 },
      successRatio: 0.5,
      gates: [{ kind: "confidence", against: "absolute", minMean: 0.8, minRequests: 50 }],
    })),
  });

test("any history settles at once, offers nothing in quarantine, never passes a bad gate, and always finds the way back", () => {
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 40 }),
      fc.constantFrom(null, "role=control"),
      fc.constantFrom("rollback", "pause"),
      fc.boolean(),
      (...[events, control, onFailure, shadow]) => {
        const fleet = createFleet(
          spec(control, onFailure, shadow),
          names.map((device, index) => toDevice(device, { labels: { role: index === 0 ? "control" : "field" } })),
        );
        let confidence: number | null = null;
        const settle = (): void => {
          const stagesOf = new Map(fleet.record.devices.map(({ device, stageIndex }) => [device, stageIndex]));
          const decisions = fleet.settle();
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
          if (next.kind === "advance") fleet.advance(next.ms);
          if (next.kind === "online") fleet.change(next.name, { online: next.online });
          if (next.kind === "lifecycle") fleet.change(next.name, { lifecycle: next.lifecycle });
          if (next.kind === "answer") fleet.answer(next.name, next.state);
          if (next.kind === "withdraw") {
            const desired = { ...oldRelease, rolloutId: null, attempt: 9 };
            fleet.change(next.name, { desired, ...(next.runs ? { running: oldRelease } : {}) });
          }
          if (next.kind === "evidence") {
            confidence = next.requests >= 50 ? next.confidence : null;
            const treatment = toCohort({ meanConfidence: next.confidence, requests: next.requests });
            fleet.setEvidence({ treatment, control: toCohort() });
          }
          if (next.kind === "action") {
            try {
              fleet.record = applyRolloutAction(fleet.record, { ...next, actor: "ada", reason: "" }, fleet.nowMs);
            } catch (error) {
              expect(error).toMatchObject({ code: "transition_refused" });
            }
          }
          settle();
        }
        // Whatever happened: a person aborts or undoes it, devices answer, and all are back.
        for (const action of ["abort", "undo", "retry"] as const) {
          try {
            fleet.record = applyRolloutAction(fleet.record, { action, actor: "ada", reason: "" }, fleet.nowMs);
          } catch {
            continue;
          }
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
