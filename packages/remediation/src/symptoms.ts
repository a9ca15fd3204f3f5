import { isOperatorFile, type SymptomKind } from "@fairlead/protocol";
import type { DeviceObservation, FailingMeasurement, ServingCrash } from "./case.ts";
import type { RemediationConfig, Rule } from "./rules.ts";

/** Something that is wrong with one device now. */
export interface Symptom {
  readonly kind: SymptomKind;
  readonly subject: Rule["subject"];
  readonly code: string;
  readonly reason: string;
  /** Numbers and names, kept in the case. */
  readonly evidence: Readonly<Record<string, unknown>>;
  readonly numbers: Readonly<Record<string, number>>;
}

/** A model file that the plane can name and send again. */
export function isRepairable(failing: FailingMeasurement): boolean {
  return failing.kind === "model" && failing.slot !== null && failing.expected !== null && failing.sizeBytes !== null;
}

/** Nothing repairs a file that people write: only one of them knows whether it is right. */
function toWayOut({ device, integrity: { failing } }: DeviceObservation): string {
  if (!failing.some(isOperatorFile)) return "";
  return `; if you changed its configuration: fairlead devices release ${device} --accept-config --reason TEXT`;
}

/** Crashes of the window that blame the build which a slot runs and has confirmed. */
export function toLoopingCrashes(
  { slots, crashes }: DeviceObservation,
  { config, nowMs }: { readonly config: RemediationConfig; readonly nowMs: number },
): readonly (readonly ServingCrash[])[] {
  return slots
    .filter(({ confirmed }) => confirmed)
    .map((slot) =>
      crashes.filter(
        (crash) =>
          crash.slot === slot.slot &&
          crash.buildDigest === slot.activeBuildDigest &&
          crash.tsMs > nowMs - config.crashLoopWindowMs,
      ),
    )
    .filter((found) => found.length >= config.crashLoopCount);
}

/** Everything that is wrong with a device, the gravest first. */
export function toSymptoms(
  observation: DeviceObservation,
  context: { readonly config: RemediationConfig; readonly nowMs: number },
): readonly Symptom[] {
  const { device, lifecycle, integrity, online, lastSeenMs, listeningSinceMs } = observation;
  if (lifecycle !== "enrolled" && lifecycle !== "quarantined") return [];
  const symptoms: Symptom[] = [];
  if (integrity.state === "failed") {
    const { failing } = integrity;
    const repairable = failing.length > 0 && failing.every(isRepairable);
    const names = failing.map(({ kind, name }) => `${kind}/${name}`);
    symptoms.push({
      kind: "integrity-failed",
      // An agent that is not itself cannot be trusted to repair anything, so one other file decides.
      subject: repairable ? "repairable-model" : "other-file",
      code: "integrity_failed",
      reason: `${names.length === 0 ? "the evidence" : names.join(", ")} of ${device} failed its appraisal${toWayOut(observation)}`,
      evidence: { failing, evidenceAtMs: integrity.evidenceAtMs },
      numbers: { files: failing.length },
    });
  }
  for (const crashes of toLoopingCrashes(observation, context)) {
    const { slot, buildDigest } = crashes[0] ?? { slot: "", buildDigest: "" };
    symptoms.push({
      kind: "crash-loop",
      subject: "slot",
      code: "crash_loop",
      reason: `slot ${slot} of ${device} crashed ${crashes.length} times in ${context.config.crashLoopWindowMs / 1_000} s`,
      evidence: { slot, buildDigest, crashes: crashes.length },
      numbers: { crashes: crashes.length, windowMs: context.config.crashLoopWindowMs },
    });
  }
  for (const { slot, missedPlacement } of observation.slots) {
    if (missedPlacement === null) continue;
    const { wanted, reason } = missedPlacement;
    symptoms.push({
      kind: "placement-missed",
      subject: "slot",
      code: "placement_missed",
      reason: `slot ${slot} of ${device} wanted ${wanted} and runs nothing there: ${reason}`.slice(0, 500),
      evidence: { slot, wanted, reason },
      numbers: {},
    });
  }
  // Never seen counts as silent only once it was seen: before that there is nothing to compare with.
  const silentForMs = lastSeenMs === null ? 0 : context.nowMs - Math.max(lastSeenMs, listeningSinceMs);
  if (!online && silentForMs > context.config.silentAfterMs)
    symptoms.push({
      kind: "device-silent",
      subject: "device",
      code: "device_silent",
      reason: `${device} has been silent for more than ${context.config.silentAfterMs / 1_000} s`,
      evidence: { lastSeenMs },
      numbers: { silentForMs },
    });
  return symptoms;
}
