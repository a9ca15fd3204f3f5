import { InspectionError } from "./inspection-error.ts";
import { knownDomains, toDomain, toOperatorName } from "./operators.ts";
import type { Place } from "./place.ts";

/** Which of the operators that the runtime has may be used. What the lists of `operators.ts` leave out cannot be allowed. */
export interface OperatorPolicy {
  /** Of "ai.onnx", "ai.onnx.ml" and "com.microsoft"; all of them by default. */
  readonly allowDomains?: readonly string[];
  /** "Loop", "ai.onnx::Loop", "com.microsoft::MatMulNBits"; none by default. */
  readonly denyOperators?: readonly string[];
}

/** Says no to an operator, or nothing. */
export type OperatorCheck = (domain: string, operator: string, place: Place) => void;

export function toOperatorCheck({ allowDomains = knownDomains, denyOperators = [] }: OperatorPolicy): OperatorCheck {
  const allowed = new Set(allowDomains.map(toDomain));
  const denied = new Set(denyOperators.map((name) => (name.startsWith("ai.onnx::") ? name.slice(9) : name)));
  return (domain, operator, place) => {
    const name = toOperatorName(domain, operator);
    if (!allowed.has(domain))
      throw new InspectionError("unknown_operator", `operators of ${domain || "ai.onnx"} are not allowed here`, {
        place,
      });
    if (denied.has(name)) throw new InspectionError("unknown_operator", `${name} is not allowed here`, { place });
  };
}
