import type { Measurement } from "@fairlead/protocol";
import { toMeasurementKey } from "./chain.ts";

/**
 * Files that change with what was done to a device: an upgrade brings another agent and runtime, an enrolment another
 * identity. What people configure belongs to neither.
 */
export type FileGroup = "software" | "identity";

export interface FileBaseline {
  readonly trust: "first-use";
  readonly recordedAtMs: number;
  /** Digest per `kind:name`. */
  readonly digests: Readonly<Record<string, string>>;
  /** Recorded anew with the next full evidence, and not judged until then; absent: nothing is. */
  readonly reopened?: readonly FileGroup[];
}

type FileName = Pick<Measurement, "kind" | "name">;

function toGroup({ kind, name }: FileName): FileGroup | null {
  if (kind === "agent" || kind === "runtime") return "software";
  return kind === "configuration" && name.startsWith("identity/") ? "identity" : null;
}

/** The device itself says that the file is not what it should be. */
export function isSelfContradicting({ expected, actual }: Measurement): boolean {
  return expected !== null && expected !== actual;
}

export function isReopened({ reopened = [] }: FileBaseline, file: FileName): boolean {
  const group = toGroup(file);
  return group !== null && reopened.includes(group);
}

export function toFileName(key: string): FileName {
  const at = key.indexOf(":");
  return { kind: key.slice(0, at) as Measurement["kind"], name: key.slice(at + 1) };
}

export function toFileBaseline(measurements: readonly Measurement[], recordedAtMs: number): FileBaseline {
  const digests = Object.fromEntries(
    measurements
      .filter(({ kind }) => kind !== "model")
      .flatMap((measurement) =>
        measurement.actual === null || isSelfContradicting(measurement)
          ? []
          : [[toMeasurementKey(measurement), measurement.actual]],
      ),
  );
  return { trust: "first-use", recordedAtMs, digests };
}

/** What was done to the device changes these groups of its files; everything else stays as it was recorded or accepted. */
export function reopenBaseline(baseline: FileBaseline | null, groups: readonly FileGroup[]): FileBaseline | null {
  return baseline && { ...baseline, reopened: [...new Set([...(baseline.reopened ?? []), ...groups])] };
}

/** The baseline after a full evidence: the groups that were reopened are what was measured now. */
export function closeBaseline(
  baseline: FileBaseline,
  measurements: readonly Measurement[],
  recordedAtMs: number,
): FileBaseline {
  const { reopened = [], ...rest } = baseline;
  if (reopened.length === 0) return baseline;
  const kept = Object.entries(baseline.digests).filter(([key]) => !isReopened(baseline, toFileName(key)));
  const anew = measurements.filter((measurement) => isReopened(baseline, measurement));
  const { digests } = toFileBaseline(anew, recordedAtMs);
  return { ...rest, recordedAtMs, digests: { ...Object.fromEntries(kept), ...digests } };
}
