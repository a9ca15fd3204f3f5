import { RuntimeError } from "./runtime-error.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

/**
 * Holds a model to the shapes that it states of its outputs: whoever reads them laid out memory for those. An output whose
 * rank the model leaves open is stated without dimensions; a first dimension of 1 is what exporters write for a batch of any size.
 * @throws RuntimeError `inference_failed`
 */
export function checkOutputs(
  modelName: string,
  specs: readonly TensorSpec[],
  outputs: readonly Pick<Tensor, "name" | "shape">[],
): void {
  for (const { name, shape } of outputs) {
    const stated = specs.find((spec) => spec.name === name)?.shape ?? [];
    if (stated.length === 0 || matches(stated, shape)) continue;
    throw new RuntimeError(
      "inference_failed",
      `output '${name}' of model '${modelName}' has the shape [${shape.join(",")}], but the model states [${stated.join(",")}]`,
    );
  }
}

function matches(stated: readonly number[], shape: readonly number[]): boolean {
  if (stated.length !== shape.length) return false;
  return stated.every((size, axis) => size === -1 || size === shape[axis] || (axis === 0 && size === 1));
}
