import type { EventData } from "@fairlead/protocol";
import type { Refusal } from "../audit/refusal-audit.ts";

type Told = Pick<Refusal, "action" | "details" | "reason">;

/** States of a job in which the device did not take, or did not keep, what it was asked to run. */
const refusing: ReadonlySet<string> = new Set([
  "rejected",
  "no_compatible_build",
  "failed",
  "timed_out",
  "rolled_back",
  "rollback_failed",
]);

/** What the audit log tells of an event in which a device refused something; null: it refused nothing. */
export function toReportedRefusal(event: EventData): Told | null {
  switch (event.kind) {
    case "refused":
      return { action: `device.refuse-${event.what}`, reason: event.code, details: { message: event.reason } };
    case "job-step": {
      const { slot, state, code, reason } = event;
      if (!refusing.has(state)) return null;
      return { action: "device.refuse-build", reason: code ?? state, details: { slot, state, message: reason } };
    }
    case "freshness": {
      const { state, untilMs, reason } = event;
      return { action: `device.freshness-${state}`, reason, details: { untilMs } };
    }
    case "reverted": {
      const { slot, buildDigest, reason } = event;
      return { action: "device.revert-build", reason, details: { slot, buildDigest } };
    }
    // Told once an hour by `devices/mirror-audit.ts`.
    case "mirror-set-aside":
    case "integrity-failed":
    case "integrity-restored":
    case "serving-crashed":
    case "serving-hung":
    case "serving-start":
    case "placement-missed":
    case "placement-regained":
    case "outbox-merged":
    case "throttled":
    case "disk-full":
    case "clock-skew":
    case "plane-forked":
      return null;
  }
}
