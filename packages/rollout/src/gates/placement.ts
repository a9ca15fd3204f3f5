import type { Verdict } from "@fairlead/protocol";
import { judge, toGateName, waitForEvidence, type GateContext, type GateOf } from "./gate.ts";

/** Smallest share of node time that a device of the stage proves on the provider that it wanted first. */
export function judgePlacement(gate: GateOf<"placement">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.minShare;
  const shares = context.evidence?.treatment.wantedShares ?? [];
  const proved = shares.filter((share) => share !== null);
  const lowest = Math.min(...proved);
  const samples = proved.length;
  // One bad device is enough to fail, and every device is needed to pass.
  const decided = samples > 0 && (lowest < threshold || samples === shares.length);
  if (!decided)
    return waitForEvidence(
      { gate: name, why: `${samples} of ${shares.length} devices have proved their placement`, threshold, samples },
      context,
    );
  return judge(
    {
      gate: name,
      subject: "the smallest share of node time on the wanted provider",
      value: lowest,
      threshold,
      control: null,
      samples,
      bound: "least",
      failCode: "placement_missed",
    },
    context,
  );
}
