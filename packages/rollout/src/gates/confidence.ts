import type { Verdict } from "@fairlead/protocol";
import { judge, readPair, toGateName, type GateContext, type GateOf } from "./gate.ts";

/** Mean top-1 probability, alone or as the drop below the control cohort's. */
export function judgeConfidence(gate: GateOf<"confidence">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const pair = readPair(
    {
      gate: name,
      what: "confidence",
      threshold: gate.against === "absolute" ? gate.minMean : gate.maxDrop,
      minRequests: gate.minRequests,
      against: gate.against,
      read: (cohort) => cohort.meanConfidence,
    },
    context,
  );
  if (pair.kind === "missing") return pair.verdict;
  const shared = { gate: name, control: pair.control, samples: pair.samples, failCode: "confidence_too_low" };
  return gate.against === "absolute"
    ? judge(
        { ...shared, subject: "the mean confidence", value: pair.value, threshold: gate.minMean, bound: "least" },
        context,
      )
    : judge(
        {
          ...shared,
          subject: "the drop of the mean confidence below the control",
          value: (pair.control ?? Number.NaN) - pair.value,
          threshold: gate.maxDrop,
          bound: "most",
        },
        context,
      );
}
