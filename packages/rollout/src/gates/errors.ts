import type { Verdict } from "@fairlead/protocol";
import { judge, readPair, toGateName, type GateContext, type GateOf } from "./gate.ts";

/** Errors by requests, alone or as the increase over the control cohort in ratio points. */
export function judgeErrors(gate: GateOf<"errors">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.against === "absolute" ? gate.maxRatio : gate.maxIncrease;
  const pair = readPair(
    {
      gate: name,
      what: "error ratio",
      threshold,
      minRequests: gate.minRequests,
      against: gate.against,
      read: (cohort) => cohort.errorRatio,
    },
    context,
  );
  if (pair.kind === "missing") return pair.verdict;
  return judge(
    {
      gate: name,
      subject: pair.control === null ? "the error ratio" : "the increase of the error ratio over the control",
      value: pair.value - (pair.control ?? 0),
      threshold,
      control: pair.control,
      samples: pair.samples,
      bound: "most",
      failCode: "errors_too_high",
    },
    context,
  );
}
