import type { AttributeValue } from "./attribute.ts";
import { InspectionError } from "./inspection-error.ts";
import type { KnownValue, KnownValues } from "./known-values.ts";
import { madeTensorRules, type MadeBy } from "./made-tensors.ts";
import type { Place } from "./place.ts";
import { quote } from "./quote.ts";

/** A node whose work may be stated by constants, which may come after it in the file. */
export interface StatedNode {
  /** "Tile", "com.microsoft::Pad". */
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeValue>;
  readonly known: KnownValues;
  readonly place: Place;
}

export interface StatedLimits {
  readonly maxLoopTrips: number;
  readonly maxMadeElements: number;
}

/** What exporters write for a loop that only its condition ends: the largest 64-bit number. */
const unboundedTrips = 2 ** 63;

export function isStatedOperator(operator: string): boolean {
  return operator === "Loop" || madeTensorRules.has(operator);
}

/** Rounds of loops and sizes of tensors, where the model itself states them. @throws InspectionError `model_too_complex` */
export function checkStatedNodes(nodes: readonly StatedNode[], limits: StatedLimits): void {
  let foldedElements = 0;
  for (const node of nodes) {
    if (node.operator === "Loop") {
      checkTrips(node, limits.maxLoopTrips);
      continue;
    }
    const made = toMadeElements(node);
    const { place } = node;
    // Written so that NaN refuses.
    if (!(made <= limits.maxMadeElements))
      throw new InspectionError(
        "model_too_complex",
        `it makes a tensor of ${made} elements; the most is ${limits.maxMadeElements}`,
        { place },
      );
    if (isFolded(node)) foldedElements += Math.max(0, made);
    if (foldedElements > limits.maxMadeElements)
      throw new InspectionError(
        "model_too_complex",
        `constants would make more than ${limits.maxMadeElements} elements while the model is loaded`,
        { place },
      );
  }
}

const find = ({ inputs, known }: StatedNode, index: number): KnownValue | null => {
  const name = inputs[index];
  return name === undefined ? null : known.find(name);
};

function checkTrips(node: StatedNode, maxTrips: number): void {
  const trips = find(node, 0)?.values?.[0] ?? 0;
  if (trips <= maxTrips || trips >= unboundedTrips) return;
  throw new InspectionError(
    "model_too_complex",
    `a loop of ${trips} rounds, stated by ${quote(node.inputs[0] ?? "")}`,
    {
      place: node.place,
    },
  );
}

function toMadeElements(node: StatedNode): number {
  const ask: MadeBy = {
    input: (index) => find(node, index),
    attribute: (name) => node.attributes.get(name)?.values ?? null,
  };
  return madeTensorRules.get(node.operator)?.(ask) ?? 0;
}

/** The runtime works out what hangs on constants alone when it loads the file, and keeps it. */
function isFolded(node: StatedNode): boolean {
  return node.inputs.every((name) => name === "" || node.known.find(name)?.constant === true);
}
