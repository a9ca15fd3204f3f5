import type { Verdict } from "@fairlead/protocol";
import { judge, toGateName, waitForEvidence, type GateContext, type GateOf } from "./gate.ts";

/** Share of the stage's devices whose self-test passed. Fails as soon as the share cannot be reached any more. */
export function judgeSelfTest(gate: GateOf<"self-test">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.minPassedRatio;
  const cohort = context.evidence?.treatment;
  if (cohort === undefined || !(cohort.devices > 0))
    return waitForEvidence({ gate: name, why: "no device has reported a self-test", threshold, samples: 0 }, context);
  const { devices, selfTestPassed, selfTestTotal } = cohort;
  const reachable = (devices - (selfTestTotal - selfTestPassed)) / devices;
  const value = selfTestPassed / devices;
  const undecided = value < threshold && reachable >= threshold;
  if (undecided)
    return waitForEvidence(
      {
        gate: name,
        why: `${selfTestPassed} of ${devices} devices passed their self-test`,
        threshold,
        samples: devices,
      },
      context,
    );
  return judge(
    {
      gate: name,
      subject: "the share of devices whose self-test passed",
      value,
      threshold,
      control: null,
      samples: devices,
      bound: "least",
      failCode: "self_test_failed",
    },
    context,
  );
}
