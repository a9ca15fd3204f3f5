import type { StageSpec, Verdict } from "@fairlead/protocol";
import { toPercentText } from "./gate.ts";

export interface HealthContext {
  /** The stage's judged devices. */
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  /** True when the stage's time for success is over. */
  readonly expired: boolean;
}

/** The gate that every stage has: enough devices succeed in time, and not too many fail. */
export function judgeHealth(stage: StageSpec, { total, succeeded, failed, expired }: HealthContext): Verdict {
  const base = { gate: "health", threshold: stage.successRatio, control: null, samples: total };
  const fail = (code: string, why: string): Verdict => ({
    ...base,
    kind: "fail",
    code,
    why,
    value: total === 0 ? null : succeeded / total,
  });
  if (total === 0) {
    const why = "no device that may take part is in the stage";
    return expired ? fail("stage_empty", why) : { ...base, kind: "wait", code: "stage_empty", why, value: null };
  }
  const { count, ratio } = stage.maxFailures;
  if (count !== null && failed > count)
    return fail("too_many_failures", `${failed} of ${total} devices failed, at most ${count} may`);
  if (ratio !== null && failed / total > ratio)
    return fail("too_many_failures", `${failed} of ${total} devices failed, at most ${toPercentText(ratio)} % may`);
  const value = succeeded / total;
  const why = `${succeeded} of ${total} devices succeeded, ${toPercentText(stage.successRatio)} % are needed`;
  if ((total - failed) / total < stage.successRatio)
    return fail("success_unreachable", `${why}; ${failed} failed, so it cannot be reached`);
  if (value >= stage.successRatio) return { ...base, kind: "pass", code: "enough_succeeded", why, value };
  return expired
    ? fail("stage_timeout", `${why}; the time for it is over`)
    : { ...base, kind: "wait", code: "devices_working", why, value };
}
