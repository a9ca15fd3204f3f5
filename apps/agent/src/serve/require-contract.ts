import { ServeError } from "./serving-error.ts";

/** A tensor as a release states it and as the inspection of a model file names it. */
export interface StatedTensor {
  readonly name: string;
  readonly elementType: string;
}

export interface StatedTensors {
  readonly inputs: readonly StatedTensor[];
  readonly outputs: readonly StatedTensor[];
}

const toTexts = (tensors: readonly StatedTensor[]): string[] =>
  tensors.map(({ name, elementType }) => `${JSON.stringify(name)} ${elementType}`).toSorted();

/**
 * Holds a model file to what was signed about it: the same inputs and outputs, by name and element type, in any order.
 * Shapes are left to the model: a release may state one size of a dimension that the file leaves free.
 * @throws ServeError `contract_mismatch`
 */
export function requireContract(stated: StatedTensors, found: StatedTensors): void {
  for (const side of ["inputs", "outputs"] as const) {
    const [wanted, actual] = [toTexts(stated[side]), toTexts(found[side])];
    if (wanted.length === actual.length && wanted.every((text, index) => text === actual[index])) continue;
    const list = (texts: readonly string[]) => texts.join(", ").slice(0, 400);
    throw new ServeError(
      "contract_mismatch",
      `the release states the ${side} ${list(wanted)}, but the file has ${list(actual)}`,
    );
  }
}
