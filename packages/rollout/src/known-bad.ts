/** Verdicts that tell of the fleet, its accelerators or the evidence, and nothing of the version. */
const withoutCause: ReadonlySet<string> = new Set([
  ...["stage_empty", "stage_timeout", "evidence_timeout", "not_finite"],
  "placement_missed",
]);

/** Did the stage fail because of what the version did? */
export function isForCause(code: string): boolean {
  return !withoutCause.has(code);
}
