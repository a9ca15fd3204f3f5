import { isJobSuccess } from "@fairlead/protocol";
import { isSameRequest, type Wish } from "../plan.ts";
import type { SlotRecord } from "../slot-record.ts";

/**
 * True when the slot runs a build of the release that is asked for, and another build of it is the right one by now,
 * because this machine was measured again or is told another policy. A request that failed is never begun again, and a
 * slot that runs something else than the release is not touched.
 */
export function isToSwitch({ job, active, candidate }: SlotRecord, wish: Wish): boolean {
  return (
    wish.kind === "install" &&
    job !== null &&
    isSameRequest(job, wish.job) &&
    isJobSuccess(job.state) &&
    candidate === null &&
    active !== null &&
    active.releaseId === wish.build.releaseId &&
    active.artifact.digest !== wish.build.artifact.digest
  );
}
