import type { Verdict } from "@fairlead/protocol";
import { judge, toGateName, waitForEvidence, type GateContext, type GateOf } from "./gate.ts";

/** How often a shadow says the same as the active build beside it, of the inputs that both were given. */
export function judgeAgreement(gate: GateOf<"agreement">, context: GateContext): Verdict {
  const name = toGateName(gate);
  const threshold = gate.minRatio;
  const { compared, agreed } = context.evidence?.treatment.agreement ?? { compared: 0, agreed: 0 };
  // Not `<`: a count that is not a number must not pass as enough.
  if (!(compared >= gate.minRequests)) {
    const why = `${compared} of ${gate.minRequests} inputs were compared`;
    return waitForEvidence({ gate: name, why, threshold, samples: compared }, context);
  }
  return judge(
    {
      gate: name,
      subject: "the share of inputs with the same answer as the active build",
      value: agreed / compared,
      threshold,
      control: null,
      samples: compared,
      bound: "least",
      failCode: "agreement_too_low",
    },
    context,
  );
}
