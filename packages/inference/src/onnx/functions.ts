import { InspectionError } from "./inspection-error.ts";
import type { Place } from "./place.ts";
import { quote } from "./quote.ts";

/** Where nodes are counted: the model's own graph, or the body of one local function. */
export interface Scope {
  nodes: number;
  /** Calls of operators that the model must define itself, by name, and where the first of them is. */
  readonly calls: Map<string, { count: number; readonly place: Place }>;
}

export function createScope(): Scope {
  return { nodes: 0, calls: new Map() };
}

/**
 * Resolves the operators that the standard does not know against the model's own functions, and counts the nodes that
 * would remain once every call is inlined, which is what the runtime does: ten functions that each call the next one ten
 * times are 10^10 nodes.
 */
export function checkFunctions(
  main: Scope,
  functions: ReadonlyMap<string, Scope>,
  limits: { readonly maxNodes: number; readonly maxDepth: number },
): void {
  const expanded = new Map<string, number>();
  const open = new Set<string>();
  const expand = (name: string, place: Place | null): number => {
    const known = expanded.get(name);
    if (known !== undefined) return known;
    const scope = functions.get(name);
    if (scope === undefined)
      throw new InspectionError("unknown_operator", `no operator is called ${quote(name)}`, { place });
    if (open.has(name) || open.size > limits.maxDepth * 4)
      throw new InspectionError("model_too_complex", `the function ${quote(name)} calls itself or nests too deep`, {
        place,
      });
    open.add(name);
    const count = sum(scope);
    open.delete(name);
    expanded.set(name, count);
    return count;
  };
  const sum = (scope: Scope): number => {
    let nodes = scope.nodes;
    for (const [name, { count, place }] of scope.calls) nodes += count * expand(name, place);
    if (nodes <= limits.maxNodes) return nodes;
    throw new InspectionError("model_too_complex", `functions expand to more than ${limits.maxNodes} nodes`);
  };
  sum(main);
  for (const name of functions.keys()) expand(name, null);
}
