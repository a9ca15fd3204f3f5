import { rolloutSpecSchema, type GateSpec, type JobState, type RolloutSpec } from "@fairlead/protocol";
import type { Decision } from "../decision.ts";
import { RolloutDraft } from "../draft.ts";
import { reconcile } from "../reconcile.ts";
import { createRollout, type ReleaseReference, type RolloutRecord } from "../rollout.ts";
import { toCohorts } from "../standing.ts";
import type { CohortEvidence, FleetDevice, StageEvidence, Withdrawal } from "../snapshot.ts";

export const startMs = 1_800_000_000_000;
export const oldRelease = { releaseId: "rel-old", version: "1.0.0" };
export const newRelease = { releaseId: "rel-new", version: "1.1.0" };

type Changes = Partial<Record<keyof RolloutSpec, unknown>> & { readonly stages?: readonly StageChanges[] };
export type StageChanges = Readonly<Record<string, unknown>> & { readonly gates?: readonly GateSpec[] };

/** A valid specification. The stages' defaults come from the wire schema; the gates are typed and put in afterwards. */
export function toSpec(changes: Changes = {}): RolloutSpec {
  const stages: readonly StageChanges[] = changes.stages ?? [
    { name: "canary", target: { kind: "percent", percent: 20 }, soakMs: 10_000, timeoutMs: 60_000 },
    { name: "all", target: { kind: "percent", percent: 100 }, soakMs: 10_000, timeoutMs: 60_000 },
  ];
  const spec = rolloutSpecSchema.parse({
    slot: "reader",
    model: "digit-reader",
    version: "1.1.0",
    selector: "",
    wholeFleet: true,
    ...changes,
    stages: stages.map((stage) => ({ ...stage, gates: [] })),
  });
  return {
    ...spec,
    stages: spec.stages.map((stage, index) => ({ ...stage, gates: [...(stages[index]?.gates ?? [])] })),
  };
}

export function toDevice(device: string, changes: Partial<FleetDevice> = {}): FleetDevice {
  return {
    device,
    labels: {},
    lifecycle: "enrolled",
    online: true,
    desired: { ...oldRelease, rolloutId: null, attempt: 1 },
    desiredSeen: true,
    job: null,
    running: oldRelease,
    desiredShadowId: null,
    shadowingId: null,
    claimedBy: null,
    wantedShare: 1,
    ...changes,
  };
}

export function toCohort(changes: Partial<CohortEvidence> = {}): CohortEvidence {
  return {
    devices: 2,
    requests: 1_000,
    errorRatio: 0,
    latencyMs: { "0.95": 5 },
    meanConfidence: 0.95,
    classCounts: { "0": 500, "1": 500 },
    selfTestPassed: 2,
    selfTestTotal: 2,
    agreement: { compared: 500, agreed: 490 },
    joulesPerInference: 0.01,
    wantedShares: [1, 1],
    ...changes,
  };
}

export interface FleetOptions {
  readonly rolloutId?: string;
  readonly release?: ReleaseReference;
  /** Shared with another rollout: both see and change the same devices. */
  readonly fleet?: Map<string, FleetDevice>;
}

/** A plane and its devices in a few lines: applies decisions, moves desired states, lets devices answer. */
export function createFleet(
  spec: RolloutSpec,
  devices: readonly FleetDevice[],
  {
    rolloutId = "ro-1",
    release = newRelease,
    fleet = new Map(devices.map((device) => [device.device, device])),
  }: FleetOptions = {},
) {
  let record: RolloutRecord = createRollout({ rolloutId, spec, releaseId: release.releaseId, createdAtMs: startMs });
  const released = new Map([oldRelease, newRelease, release].map((known) => [known.releaseId, known]));
  let evidence: StageEvidence | null = null;
  let nowMs = startMs;
  let withdrawn: Withdrawal | null = null;
  const log: Decision[] = [];

  const execute = (decision: Decision): void => {
    const draft = new RolloutDraft(record);
    draft.apply(decision, nowMs);
    record = draft.record;
    log.push(decision);
    if (decision.kind !== "offer" && decision.kind !== "revert") return;
    const seen = fleet.get(decision.device);
    if (seen === undefined) return;
    const shadow = decision.kind === "offer" && decision.shadow !== null;
    const base = decision.kind === "offer" ? decision.previous : (released.get(decision.to ?? "") ?? null);
    const to = decision.kind === "offer" && !shadow ? release : base;
    const desired = to === null ? null : { ...to, rolloutId: record.rolloutId, attempt: decision.attempt };
    const desiredShadowId = shadow ? release.releaseId : null;
    fleet.set(decision.device, { ...seen, desired, desiredShadowId, desiredSeen: false });
  };
  const change = (name: string, changes: Partial<FleetDevice>): void => {
    fleet.set(name, { ...(fleet.get(name) ?? toDevice(name)), ...changes });
  };
  return {
    log,
    change,
    execute,
    get record() {
      return record;
    },
    set record(next: RolloutRecord) {
      record = next;
    },
    get fleet() {
      return [...fleet.values()];
    },
    get nowMs() {
      return nowMs;
    },
    advance(ms: number) {
      nowMs += ms;
    },
    setEvidence(next: Pick<StageEvidence, "treatment" | "control">) {
      const cohorts = toCohorts({ record, fleet: [...fleet.values()] });
      evidence = cohorts === null ? null : { ...next, stageIndex: cohorts.stageIndex, sinceMs: cohorts.sinceMs };
    },
    /** From now on devices would refuse the release; null: they would take it. */
    withdraw(why: Withdrawal | null) {
      withdrawn = why;
    },
    remove(name: string) {
      fleet.delete(name);
    },
    decide: () => reconcile({ record, fleet: [...fleet.values()], evidence, withdrawn }, nowMs),
    /** Takes so many decisions, decides anew, and so on until nothing is left to do. */
    settle(atOnce = Number.POSITIVE_INFINITY): readonly Decision[] {
      const taken: Decision[] = [];
      for (;;) {
        const decisions = this.decide().slice(0, atOnce);
        for (const decision of decisions) execute(decision);
        taken.push(...decisions);
        if (decisions.length < atOnce) return taken;
      }
    },
    /** The device answers its present request: with success it runs what it was asked to. */
    answer(name: string, state: JobState = "succeeded") {
      const seen = fleet.get(name);
      if (seen === undefined) return;
      const own = record.devices.find(({ device }) => device === name);
      const running = ["succeeded", "already_installed", "removed"].includes(state) ? seen.desired : seen.running;
      const job = {
        rolloutId: record.rolloutId,
        attempt: seen.desired?.attempt ?? own?.attempt ?? 1,
        state,
        code: state === "succeeded" ? null : `because_${state}`,
        reason: null,
        selfTestPassed: state === "succeeded",
      };
      if (state === "succeeded" && seen.desiredShadowId !== null) {
        // A shadow's job goes on, and what serves stays.
        change(name, { job: { ...job, state: "soaking" }, desiredSeen: true, shadowingId: seen.desiredShadowId });
        return;
      }
      change(name, { job, desiredSeen: true, running, shadowingId: null });
    },
    answerAll(state: JobState = "succeeded") {
      for (const { device, phase, attempt } of record.devices)
        if (
          (phase === "offered" || phase === "reverting") &&
          !(fleet.get(device)?.job?.attempt === attempt && fleet.get(device)?.job?.rolloutId === record.rolloutId)
        )
          this.answer(device, state);
    },
  };
}
