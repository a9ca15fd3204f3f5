import {
  toCohorts,
  toFleetMap,
  toQuantileKey,
  type CohortEvidence,
  type FleetDevice,
  type RolloutRecord,
  type StageEvidence,
} from "@fairlead/rollout";
import type { ShadowComparison } from "@fairlead/protocol";
import type { Repositories, SlotWindowRow } from "@fairlead/store";
import { mergeShadows, summarizeCohort, toEmptyHistogram, toErrorCount, toQuantile } from "@fairlead/telemetry";

/** What telemetry says of one cohort, in the words of the gates: the one place where the two meet. */
export function toCohortEvidence(
  rows: readonly SlotWindowRow[],
  about: {
    readonly devices: number;
    readonly quantiles: readonly number[];
    readonly selfTests: readonly boolean[];
    readonly wantedShares: CohortEvidence["wantedShares"];
  },
): CohortEvidence {
  const summary = summarizeCohort(rows.map((row) => row.window));
  const latencyMs = about.quantiles.map((quantile) => {
    const us = summary.requests === 0 ? null : toQuantile(summary.latencyUs, quantile);
    return [toQuantileKey(quantile), us === null ? null : us / 1_000] as const;
  });
  return {
    devices: about.devices,
    requests: summary.requests,
    errorRatio: summary.errorRatio,
    latencyMs: Object.fromEntries(latencyMs),
    meanConfidence: summary.meanConfidence,
    classCounts: summary.classCounts,
    selfTestPassed: about.selfTests.filter(Boolean).length,
    selfTestTotal: about.selfTests.length,
    agreement: toAgreement(rows),
    joulesPerInference: toJoulesPerInference(rows),
    wantedShares: about.wantedShares,
  };
}

function toComparison(rows: readonly SlotWindowRow[]): ShadowComparison | null {
  return rows.reduce<ShadowComparison | null>((sum, { window }) => mergeShadows(sum, window.shadow), null);
}

function toAgreement(rows: readonly SlotWindowRow[]): CohortEvidence["agreement"] {
  const shadow = toComparison(rows);
  return shadow === null ? null : { compared: shadow.compared, agreed: shadow.agreed };
}

/** One method for all, or nothing: modelled joules divided by measured ones say nothing (see `EnergyWindow`). */
function toJoulesPerInference(rows: readonly SlotWindowRow[]): number | null {
  const read = rows.filter(({ window }) => window.activeJ.value !== null);
  if (new Set(read.map(({ energyMethod }) => energyMethod)).size !== 1) return null;
  const joules = read.reduce((sum, { window }) => sum + (window.activeJ.value ?? 0), 0);
  const inferences = read.reduce((sum, { window }) => sum + window.requests - toErrorCount(window.errors), 0);
  return inferences > 0 ? joules / inferences : null;
}

const toMethods = (rows: readonly SlotWindowRow[]): string => [...new Set(rows.map((row) => row.energyMethod))].join();

/**
 * The active builds' windows as a shadow's control: their latencies are the run times over the compared inputs, which the
 * shadow's windows carry, since what a client waited for includes more than a shadow ever does.
 */
function toActiveRows(rows: readonly SlotWindowRow[], shadows: readonly SlotWindowRow[]): SlotWindowRow[] {
  const silent = rows.map((row) => ({ ...row, window: { ...row.window, latencyUs: toEmptyHistogram() } }));
  const runs = toComparison(shadows);
  const [first, ...rest] = silent;
  if (first === undefined || runs === null) return silent;
  return [{ ...first, window: { ...first.window, latencyUs: runs.activeLatencyUs } }, ...rest];
}

/** Self-tests of the devices' present jobs, or of the outcomes that are kept of them. */
function toSelfTests(record: RolloutRecord, fleet: readonly FleetDevice[], treatment: ReadonlySet<string>): boolean[] {
  const seenBy = toFleetMap(fleet);
  return record.devices
    .filter(({ device }) => treatment.has(device))
    .flatMap((device) => {
      const job = seenBy.get(device.device)?.job ?? null;
      const own = job?.rolloutId === record.rolloutId && job.attempt === device.attempt ? job.selfTestPassed : null;
      const passed = device.outcome?.selfTestPassed ?? own;
      return passed === null ? [] : [passed];
    });
}

/** What a device proved for another release says nothing about this one. */
function toWantedShares(
  { releaseId }: RolloutRecord,
  fleet: readonly FleetDevice[],
  treatment: ReadonlySet<string>,
): (number | null)[] {
  const seenBy = toFleetMap(fleet);
  return [...treatment].map((device) => {
    const seen = seenBy.get(device);
    return seen?.running?.releaseId === releaseId ? seen.wantedShare : null;
  });
}

/** Evidence for the stage under judgement; null when none is judged. */
export async function loadEvidence(
  from: Repositories,
  { record, fleet }: { readonly record: RolloutRecord; readonly fleet: readonly FleetDevice[] },
  nowMs: number,
): Promise<StageEvidence | null> {
  const cohorts = toCohorts({ record, fleet });
  if (cohorts === null) return null;
  const { sinceMs, stageIndex, quantiles } = cohorts;
  const { model, slot, version } = record.spec;
  const treatment = new Set(cohorts.treatment);
  const control = new Set(cohorts.control);
  const devices = [...treatment, ...control];
  const rows =
    devices.length === 0
      ? []
      : await from.telemetry.listSlotWindows({ slot, fromMs: sinceMs, toMs: nowMs + 60_000, devices });
  // A window that began before the stage also counts requests from before it.
  const inStage = rows.filter((row) => row.atMs - (row.t1Ms - row.t0Ms) >= sinceMs);
  const isOffered = (row: SlotWindowRow) => row.model === model && row.version === version;
  const offered = inStage.filter((row) => treatment.has(row.device) && isOffered(row));
  const others = inStage.filter((row) => control.has(row.device) && !isOffered(row));
  const compared = toCohortEvidence(cohorts.shadow ? toActiveRows(others, offered) : others, {
    devices: control.size,
    quantiles,
    selfTests: [],
    wantedShares: [],
  });
  const sameMethod = toMethods(offered) === toMethods(others);
  return {
    ...{ stageIndex, sinceMs },
    treatment: toCohortEvidence(
      // In a shadow stage a window without a comparison is one of before or after it.
      cohorts.shadow ? offered.filter(({ window }) => (window.shadow ?? null) !== null) : offered,
      {
        devices: treatment.size,
        quantiles,
        selfTests: toSelfTests(record, fleet, treatment),
        wantedShares: toWantedShares(record, fleet, treatment),
      },
    ),
    control: sameMethod ? compared : { ...compared, joulesPerInference: null },
  };
}
