import { createScope, toFunctionKey, type Scope } from "./functions.ts";
import { InspectionError } from "./inspection-error.ts";
import type { InspectionLimits } from "./limits.ts";
import { isStatedOperator, type StatedNode } from "./made-check.ts";
import { toOperatorCheck, type OperatorCheck, type OperatorPolicy } from "./operator-policy.ts";
import { isKnownOperator, toDomain, toOperatorName } from "./operators.ts";
import { quote } from "./quote.ts";
import type { StoredTensor } from "./tensor.ts";

export interface TallyOptions {
  readonly limits: InspectionLimits;
  readonly operators: OperatorPolicy;
  readonly refuseExternalData: boolean;
}

/** A node as it is counted. */
export interface CountedNode extends Omit<StatedNode, "operator"> {
  readonly operator: string;
  readonly domain: string;
  readonly overload: string;
}

/** What is counted while a model is walked. */
export class Tally {
  readonly limits: InspectionLimits;
  readonly main = createScope();
  readonly operators = new Map<string, number>();
  readonly domains = new Set<string>();
  /** Stored elements per element type. */
  readonly elementsByType = new Map<string, number>();
  readonly externalLocations: string[] = [];
  /** Judged when all constants are known. */
  readonly stated: StatedNode[] = [];
  nodes = 0;
  weightBytes = 0;
  parameters = 0;
  #tensors = 0;
  #attributes = 0;
  readonly #checkOperator: OperatorCheck;
  readonly #refuseExternalData: boolean;

  constructor({ limits, operators, refuseExternalData }: TallyOptions) {
    this.limits = limits;
    this.#checkOperator = toOperatorCheck(operators);
    this.#refuseExternalData = refuseExternalData;
  }

  addNode(node: CountedNode, scope: Scope): void {
    const { operator, place } = node;
    const domain = toDomain(node.domain);
    this.nodes += 1;
    scope.nodes += 1;
    if (this.nodes > this.limits.maxNodes) throw tooMany(this.limits.maxNodes, "nodes");
    const name = toOperatorName(domain, operator);
    this.operators.set(name, (this.operators.get(name) ?? 0) + 1);
    if (!isKnownOperator(domain, operator)) {
      const called = toFunctionKey(domain, operator, node.overload);
      const call = scope.calls.get(called);
      if (call === undefined) scope.calls.set(called, { count: 1, place });
      else call.count += 1;
      return;
    }
    this.#checkOperator(domain, operator, place);
    this.domains.add(domain);
    if (isStatedOperator(name)) this.stated.push({ ...node, operator: name });
  }

  addAttribute(): void {
    this.#attributes += 1;
    if (this.#attributes > this.limits.maxAttributes) throw tooMany(this.limits.maxAttributes, "attributes");
  }

  addTensor(tensor: StoredTensor): void {
    this.#tensors += 1;
    if (this.#tensors > this.limits.maxTensors) throw tooMany(this.limits.maxTensors, "stored tensors");
    if (tensor.externalLocation !== null) this.#addExternal(tensor.name, tensor.externalLocation);
    this.weightBytes += tensor.dataBytes;
    this.parameters += tensor.elements;
    this.elementsByType.set(tensor.elementType, (this.elementsByType.get(tensor.elementType) ?? 0) + tensor.elements);
  }

  #addExternal(name: string, location: string): void {
    if (this.#refuseExternalData)
      throw new InspectionError(
        "external_data_refused",
        `${quote(name)} lies outside the model, in ${quote(location)}`,
      );
    if (this.externalLocations.length < 64) this.externalLocations.push(location);
  }
}

export function tooMany(limit: number, what: string): InspectionError {
  return new InspectionError("model_too_complex", `more than ${limit} ${what}`);
}
