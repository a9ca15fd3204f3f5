import type { Verdict } from "@fairlead/protocol";
import { judge, readPair, toGateName, toPercentText, toQuantileKey, type GateContext, type GateOf } from "./gate.ts";

/** A latency quantile in milliseconds, or its quotient by the control's. */
export function judgeLatency(gate: GateOf<"latency">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.against === "absolute" ? gate.maxMs : gate.maxRatio;
  const quantile = `p${toPercentText(gate.quantile)} latency`;
  const pair = readPair(
    {
      gate: name,
      what: quantile,
      threshold,
      minRequests: gate.minRequests,
      against: gate.against,
      read: (cohort) => cohort.latencyMs?.[toQuantileKey(gate.quantile)] ?? null,
    },
    context,
  );
  if (pair.kind === "missing") return pair.verdict;
  return judge(
    {
      gate: name,
      subject: pair.control === null ? `the ${quantile} in ms` : `the quotient of the ${quantile} by the control's`,
      value: pair.control === null ? pair.value : pair.value / pair.control,
      threshold,
      control: pair.control,
      samples: pair.samples,
      bound: "most",
      failCode: "latency_too_high",
    },
    context,
  );
}
