import { defaultRemediationConfig, toFleetLimit } from "@fairlead/remediation";

/** How long a device is left alone after a finding of it was suppressed, or after an operator released it. */
export const cloneCoolDownMs = 600_000;

export interface CloneBrakeFacts {
  /** Devices that are enrolled or in quarantine. */
  readonly fleet: number;
  /** Of these, in quarantine, whoever put them there. */
  readonly held: number;
  /** When an operator released the device last; null: never. */
  readonly releasedAtMs: number | null;
  readonly nowMs: number;
}

export interface CloneBrake {
  readonly code: "blast_radius" | "cool_down";
  readonly reason: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * Why a device that seems to be used twice is not put in quarantine by itself; null when nothing stands against it. Many who
 * contradict at once are rather one fault of the plane, such as a database that was restored, than many thieves.
 */
export function judgeCloneBrake({ fleet, held, releasedAtMs, nowMs }: CloneBrakeFacts): CloneBrake | null {
  if (releasedAtMs !== null && nowMs - releasedAtMs < cloneCoolDownMs)
    return {
      code: "cool_down",
      reason: `the device was released less than ${cloneCoolDownMs / 60_000} minutes ago`,
      numbers: { releasedAtMs, coolDownMs: cloneCoolDownMs },
    };
  const limit = toFleetLimit(fleet, defaultRemediationConfig.maxFleetRatio);
  if (held < limit) return null;
  return {
    code: "blast_radius",
    reason: `${held} of ${fleet} devices are in quarantine already, at most ${limit} may be put there by themselves`,
    numbers: { held, fleet, limit },
  };
}
