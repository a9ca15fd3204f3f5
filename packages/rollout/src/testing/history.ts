import fc from "fast-check";
import type { RolloutAction } from "@fairlead/protocol";
import { expect } from "vitest";
import { applyRolloutAction } from "../actions.ts";
import { createFleet, oldRelease, toCohort, toDevice, toSpec } from "./fleet.ts";

export const names = ["a", "b", "c", "d", "e", "f"];
const name = fc.constantFrom(...names);
/** What may happen to a rollout of the six devices. */
export const event = fc.oneof(
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
export type HistoryEvent = typeof event extends fc.Arbitrary<infer Event> ? Event : never;

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

export interface History {
  readonly control: string | null;
  readonly onFailure: string;
  readonly shadow: boolean;
}

export const history: fc.Arbitrary<History> = fc.record({
  control: fc.constantFrom(null, "role=control"),
  onFailure: fc.constantFrom("rollback", "pause"),
  shadow: fc.boolean(),
});

export function createHistory({ control, onFailure, shadow }: History) {
  return createFleet(
    spec(control, onFailure, shadow),
    names.map((device, index) => toDevice(device, { labels: { role: index === 0 ? "control" : "field" } })),
  );
}

/** An action that the state does not admit changes nothing. */
export function act(fleet: ReturnType<typeof createHistory>, action: RolloutAction): boolean {
  try {
    fleet.record = applyRolloutAction(fleet.record, { action, actor: "ada", reason: "" }, fleet.nowMs);
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "transition_refused" });
    return false;
  }
}

export function happen(fleet: ReturnType<typeof createHistory>, next: HistoryEvent): void {
  switch (next.kind) {
    case "advance":
      return fleet.advance(next.ms);
    case "online":
      return fleet.change(next.name, { online: next.online });
    case "lifecycle":
      return fleet.change(next.name, { lifecycle: next.lifecycle });
    case "answer":
      return fleet.answer(next.name, next.state);
    case "withdraw": {
      const desired = { ...oldRelease, rolloutId: null, attempt: 9 };
      return fleet.change(next.name, { desired, ...(next.runs ? { running: oldRelease } : {}) });
    }
    case "evidence": {
      const treatment = toCohort({ meanConfidence: next.confidence, requests: next.requests });
      return fleet.setEvidence({ treatment, control: toCohort() });
    }
    case "action":
      act(fleet, next.action);
  }
}
