import { InspectionError } from "./inspection-error.ts";
import type { Place } from "./place.ts";
import { toOperatorName } from "./operators.ts";
import { quote } from "./quote.ts";

/** Where nodes are counted: the model's own graph, or the body of one local function. */
export interface Scope {
  nodes: number;
  /** Calls of operators that the model must define itself, by key, and where the first of them is. */
  readonly calls: Map<string, { count: number; readonly place: Place }>;
}

/**
 * What tells functions apart: domain, name and what the model calls their overload (onnx.proto, FunctionProto). Each may
 * hold any character, so they are not merely joined: a domain could be hidden in a name.
 */
export function toFunctionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}

function toShownName(key: string): string {
  const [domain = "", name = "", overload = ""] = JSON.parse(key) as readonly string[];
  const operator = toOperatorName(domain, name);
  return quote(overload === "" ? operator : `${operator}:${overload}`);
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
  const expand = (key: string, place: Place | null): number => {
    const known = expanded.get(key);
    if (known !== undefined) return known;
    const scope = functions.get(key);
    if (scope === undefined)
      throw new InspectionError("unknown_operator", `no operator is called ${toShownName(key)}`, { place });
    if (open.has(key) || open.size > limits.maxDepth * 4)
      throw new InspectionError(
        "model_too_complex",
        `the function ${toShownName(key)} calls itself or nests too deep`,
        {
          place,
        },
      );
    open.add(key);
    const count = sum(scope);
    open.delete(key);
    expanded.set(key, count);
    return count;
  };
  const sum = (scope: Scope): number => {
    let nodes = scope.nodes;
    for (const [key, { count, place }] of scope.calls) nodes += count * expand(key, place);
    if (nodes <= limits.maxNodes) return nodes;
    throw new InspectionError("model_too_complex", `functions expand to more than ${limits.maxNodes} nodes`);
  };
  sum(main);
  for (const key of functions.keys()) expand(key, null);
}
