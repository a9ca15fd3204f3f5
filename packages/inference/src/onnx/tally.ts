import { InspectionError } from "./inspection-error.ts";
import { isKnownOperator, toDomain, toOperatorName } from "./operators.ts";
import type { StoredTensor } from "./tensor.ts";
import { quote } from "./tensor.ts";

export interface InspectionLimits {
  readonly maxNodes: number;
  /** Graphs inside graphs; the outermost graph is at depth 0. */
  readonly maxDepth: number;
  readonly maxTensors: number;
  readonly maxFields: number;
  readonly maxStringBytes: number;
  /** Rounds of a loop whose number is a constant. */
  readonly maxLoopTrips: number;
}

/** What exporters write for a loop that only its condition ends: the largest 64-bit number. */
const unboundedTrips = 2 ** 63;

export const defaultInspectionLimits: InspectionLimits = {
  maxNodes: 50_000,
  maxDepth: 8,
  maxTensors: 100_000,
  maxFields: 5_000_000,
  maxStringBytes: 4_096,
  maxLoopTrips: 100_000_000,
};

/** Where nodes are counted: the model's own graph, or the body of one local function. */
export interface Scope {
  nodes: number;
  /** Calls of operators that the model must define itself, by name. */
  readonly calls: Map<string, number>;
}

export function createScope(): Scope {
  return { nodes: 0, calls: new Map() };
}

/** What is counted while a model is walked. */
export class Tally {
  readonly operators = new Map<string, number>();
  readonly domains = new Set<string>();
  /** Stored elements per element type. */
  readonly elementsByType = new Map<string, number>();
  readonly externalLocations: string[] = [];
  nodes = 0;
  tensors = 0;
  weightBytes = 0;
  parameters = 0;
  readonly #constants = new Map<string, number>();
  readonly #loops = new Set<string>();
  readonly #limits: InspectionLimits;
  readonly #refuseExternalData: boolean;

  constructor(limits: InspectionLimits, refuseExternalData: boolean) {
    this.#limits = limits;
    this.#refuseExternalData = refuseExternalData;
  }

  addNode(node: { readonly operator: string; readonly domain: string }, scope: Scope): void {
    const { operator, domain } = { operator: node.operator, domain: toDomain(node.domain) };
    this.nodes += 1;
    scope.nodes += 1;
    if (this.nodes > this.#limits.maxNodes) {
      throw new InspectionError("model_too_complex", `more than ${this.#limits.maxNodes} nodes`);
    }
    const name = toOperatorName(domain, operator);
    this.operators.set(name, (this.operators.get(name) ?? 0) + 1);
    if (isKnownOperator(domain, operator)) this.domains.add(domain);
    else scope.calls.set(name, (scope.calls.get(name) ?? 0) + 1);
  }

  /** A value that the model itself states, by name. */
  addConstant(name: string, value: number): void {
    this.#constants.set(name, Math.max(value, this.#constants.get(name) ?? value));
  }

  /** A loop, by the name of what says how often it goes round. */
  addLoop(trips: string): void {
    this.#loops.add(trips);
  }

  /** Constants may come after the nodes that use them, so loops are judged at the end. */
  checkLoops(): void {
    for (const name of this.#loops) {
      const trips = this.#constants.get(name) ?? 0;
      if (trips > this.#limits.maxLoopTrips && trips < unboundedTrips)
        throw new InspectionError("model_too_complex", `a loop of ${trips} rounds, stated by ${quote(name)}`);
    }
  }

  addTensor(tensor: StoredTensor): void {
    this.tensors += 1;
    if (this.tensors > this.#limits.maxTensors) {
      throw new InspectionError("model_too_complex", `more than ${this.#limits.maxTensors} stored tensors`);
    }
    if (tensor.externalLocation !== null) this.#addExternal(tensor.name, tensor.externalLocation);
    this.weightBytes += tensor.dataBytes;
    this.parameters += tensor.elements;
    this.elementsByType.set(tensor.elementType, (this.elementsByType.get(tensor.elementType) ?? 0) + tensor.elements);
  }

  #addExternal(name: string, location: string): void {
    if (this.#refuseExternalData) {
      throw new InspectionError(
        "external_data_refused",
        `${quote(name)} lies outside the model, in ${quote(location)}`,
      );
    }
    if (this.externalLocations.length < 64) this.externalLocations.push(location);
  }

  checkDepth(depth: number): void {
    if (depth > this.#limits.maxDepth) {
      throw new InspectionError("model_too_complex", `graphs nested deeper than ${this.#limits.maxDepth}`);
    }
  }

  /**
   * Resolves the operators that the standard does not know against the model's own functions, and counts the nodes
   * that would remain once every call is inlined, which is what the runtime does: ten functions that each call the
   * next one ten times are 10^10 nodes.
   */
  checkFunctions(main: Scope, functions: ReadonlyMap<string, Scope>): void {
    const expanded = new Map<string, number>();
    const expand = (name: string, open: ReadonlySet<string>): number => {
      const known = expanded.get(name);
      if (known !== undefined) return known;
      const scope = functions.get(name);
      if (scope === undefined) throw new InspectionError("unknown_operator", `no operator is called ${quote(name)}`);
      if (open.has(name) || open.size > this.#limits.maxDepth * 4) {
        throw new InspectionError("model_too_complex", `the function ${quote(name)} calls itself or nests too deep`);
      }
      const count = sum(scope, new Set([...open, name]));
      expanded.set(name, count);
      return count;
    };
    const sum = (scope: Scope, open: ReadonlySet<string>): number => {
      let count = scope.nodes;
      for (const [name, calls] of scope.calls) count += calls * expand(name, open);
      if (count > this.#limits.maxNodes) {
        throw new InspectionError("model_too_complex", `functions expand to more than ${this.#limits.maxNodes} nodes`);
      }
      return count;
    };
    sum(main, new Set());
    for (const name of functions.keys()) expand(name, new Set());
  }
}
