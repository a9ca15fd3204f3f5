import { assertNever } from "@fairlead/kernel";
import type { GateSpec, Verdict } from "@fairlead/protocol";
import { judgeAgreement } from "./agreement.ts";
import { judgeConfidence } from "./confidence.ts";
import { judgeDrift } from "./drift.ts";
import { judgeEnergy } from "./energy.ts";
import { judgeErrors } from "./errors.ts";
import type { GateContext } from "./gate.ts";
import { judgeLatency } from "./latency.ts";
import { judgePlacement } from "./placement.ts";
import { judgeSelfTest } from "./self-test.ts";

/** Asks one gate. Total: whatever the evidence holds, the answer is a verdict. */
export function judgeGate(gate: GateSpec, context: GateContext): Verdict {
  switch (gate.kind) {
    case "self-test":
      return judgeSelfTest(gate, context);
    case "placement":
      return judgePlacement(gate, context);
    case "errors":
      return judgeErrors(gate, context);
    case "latency":
      return judgeLatency(gate, context);
    case "confidence":
      return judgeConfidence(gate, context);
    case "drift":
      return judgeDrift(gate, context);
    case "agreement":
      return judgeAgreement(gate, context);
    case "energy":
      return judgeEnergy(gate, context);
    default:
      return assertNever(gate);
  }
}
