import type { Verdict } from "@fairlead/protocol";
import { judge, readPair, toGateName, type GateContext, type GateOf } from "./gate.ts";

/** Joules of one inference, or their quotient by the control's. */
export function judgeEnergy(gate: GateOf<"energy">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.against === "absolute" ? gate.maxJ : gate.maxRatio;
  const pair = readPair(
    {
      gate: name,
      what: "energy of one inference",
      threshold,
      minRequests: gate.minRequests,
      against: gate.against,
      read: (cohort) => cohort.joulesPerInference,
    },
    context,
  );
  if (pair.kind === "missing") return pair.verdict;
  return judge(
    {
      gate: name,
      subject:
        pair.control === null
          ? "the energy of one inference in J"
          : "the quotient of the energy of one inference by the control's",
      value: pair.control === null ? pair.value : pair.value / pair.control,
      threshold,
      control: pair.control,
      samples: pair.samples,
      bound: "most",
      failCode: "energy_too_high",
    },
    context,
  );
}
