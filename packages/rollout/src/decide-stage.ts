import { isJobSuccess, type Verdict } from "@fairlead/protocol";
import type { Decision } from "./decision.ts";
import { isChanged, isSameVerdicts, judgeStage, type StageContext } from "./judge-stage.ts";
import type { RolloutDevice, RolloutRecord } from "./rollout.ts";
import { isTouched } from "./standing.ts";

const noNumbers = {};

function toNumbers({ value, threshold, control, samples }: Verdict): Readonly<Record<string, number>> {
  const entries = Object.entries({ value, threshold, control, samples });
  return Object.fromEntries(entries.filter((entry): entry is [string, number] => entry[1] !== null));
}

/** Its failure still speaks against the release. What was open when the device left the fleet does not. */
function isExcludedFailure({ phase, outcome }: RolloutDevice): boolean {
  return phase === "excluded" && outcome !== null && !isJobSuccess(outcome.state) && outcome.state !== "removed";
}

/** May it be skipped when it has no device? Not before something has passed. */
function isSkippable({ spec, stages }: RolloutRecord, stageIndex: number): boolean {
  // An empty canary selector is not skipped: it is there to protect what comes after it.
  const protects = spec.stages[stageIndex]?.target.kind !== "percent" && stageIndex < stages.length - 1;
  return !protects && stages.some(({ state }) => state === "passed");
}

/** Judges the stage that runs or soaks, and says what follows. */
export function decideStage(context: StageContext): readonly Decision[] {
  const { record, stageIndex } = context;
  const stage = record.stages[stageIndex];
  const spec = record.spec.stages[stageIndex];
  if (stage === undefined || spec === undefined) return [];
  const verdicts = judgeStage(context);
  const decisions: Decision[] = [];
  if (!isSameVerdicts(stage.verdicts, verdicts))
    decisions.push({
      kind: "record-verdicts",
      stageIndex,
      verdicts,
      changed: isChanged(stage.verdicts, verdicts),
      code: "judged",
      reason: `stage ${stage.name} was judged`,
      numbers: noNumbers,
    });
  const isEmpty = verdicts[0]?.code === "stage_empty" && !record.devices.some(isExcludedFailure);
  if (isEmpty && record.state === "running" && isSkippable(record, stageIndex)) {
    const reason = `no device is left in stage ${stage.name}`;
    return [...decisions, { kind: "skip-stage", stageIndex, code: "stage_covered", reason, numbers: noNumbers }];
  }
  const failed = verdicts.find(({ kind }) => kind === "fail");
  if (failed !== undefined) {
    const { code, gate, why } = failed;
    const reason = `stage ${stage.name}, gate ${gate}: ${why}`;
    return [...decisions, { kind: "fail-stage", stageIndex, code, reason, numbers: toNumbers(failed) }];
  }
  // While a person is asked, a stage can only fail.
  if (record.state === "paused") return decisions;
  const health = verdicts[0];
  if (stage.state === "running") {
    if (health?.kind === "pass")
      decisions.push({
        kind: "start-soak",
        stageIndex,
        code: health.code,
        reason: `stage ${stage.name}: ${health.why}`,
        numbers: toNumbers(health),
      });
    return decisions;
  }
  if (verdicts.length < 2 || !verdicts.every(({ kind }) => kind === "pass")) return decisions;
  const numbers = { gates: verdicts.length };
  return spec.approval === "manual" && !stage.approved
    ? [
        ...decisions,
        {
          kind: "request-approval",
          stageIndex,
          code: "approval_required",
          reason: `stage ${stage.name} passed all its gates and waits for a person to promote it`,
          numbers,
        },
      ]
    : [
        ...decisions,
        { kind: "pass-stage", stageIndex, code: "gates_passed", reason: `stage ${stage.name} passed`, numbers },
      ];
}

/** What follows from a failed stage; nothing when there is none or a person already knows. */
export function decideFailure(record: RolloutRecord): readonly Decision[] {
  const stage = record.stages.find(({ state }) => state === "failed");
  if (stage === undefined || record.pauseReason === "gate_failed") return [];
  const verdict = stage.verdicts.find(({ kind }) => kind === "fail");
  const because = {
    code: verdict?.code ?? "stage_failed",
    reason: `stage ${stage.name} failed: ${verdict?.why ?? "no verdict was kept"}`,
    numbers: verdict === undefined ? noNumbers : toNumbers(verdict),
  };
  if (record.spec.onFailure === "pause") return [{ kind: "pause", pauseReason: "gate_failed", ...because }];
  return record.devices.some(isTouched)
    ? [{ kind: "start-rollback", ...because }]
    : [{ kind: "finish", state: "failed", ...because }];
}

/** The next stage when none is under judgement, or the happy end. */
export function decideNextStage(record: RolloutRecord): readonly Decision[] {
  const stageIndex = record.stages.findIndex(({ state }) => state === "scheduled");
  const stage = record.stages[stageIndex];
  if (stage === undefined)
    return [
      {
        kind: "finish",
        state: "succeeded",
        code: "all_stages_passed",
        reason: "every stage passed its gates",
        numbers: { stages: record.stages.length, devices: record.devices.length },
      },
    ];
  const devices = record.devices.filter((device) => device.stageIndex === stageIndex).length;
  const numbers = { devices };
  if (devices === 0 && isSkippable(record, stageIndex))
    return [
      { kind: "skip-stage", stageIndex, code: "stage_covered", reason: `stage ${stage.name} adds no device`, numbers },
    ];
  const reason = `stage ${stage.name} starts with ${devices} devices`;
  return [{ kind: "start-stage", stageIndex, code: "stage_started", reason, numbers }];
}
