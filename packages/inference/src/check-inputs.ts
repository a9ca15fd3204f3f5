import { RuntimeError } from "./runtime-error.ts";
import { toDataElements, toElementCount, type Tensor, type TensorSpec } from "./tensor.ts";

/** Throws `input_invalid` in Triton's words unless the tensors are exactly what the model wants. */
export function checkInputs(modelName: string, specs: readonly TensorSpec[], inputs: readonly Tensor[]): void {
  if (inputs.length !== specs.length) {
    throw invalid(`expected ${specs.length} inputs but got ${inputs.length} inputs for model '${modelName}'`);
  }
  const seen = new Set<string>();
  for (const input of inputs) {
    const spec = specs.find((candidate) => candidate.name === input.name);
    if (spec === undefined) throw invalid(`unexpected inference input '${input.name}' for model '${modelName}'`);
    if (seen.has(input.name)) throw invalid(`input '${input.name}' is given twice for model '${modelName}'`);
    seen.add(input.name);
    checkTensor(modelName, spec, input);
  }
}

/** Names of inputs, two or more of each, whose first dimension is one and the same. */
export type SharedRows = readonly (readonly string[])[];

/**
 * Which inputs must have equally many rows: those whose first dimension bears the same name in the model. A name is one
 * size throughout a graph (onnx.proto, `dim_param`). What has no name or another one may differ, as the source and the target
 * of a translation do.
 * @param inputs as the file states them: sizes, names of free dimensions, "?" where it says nothing
 */
export function toSharedRows(
  inputs: readonly { readonly name: string; readonly shape: readonly (number | string)[] }[],
): SharedRows {
  const byName = new Map<string, string[]>();
  for (const { name, shape } of inputs) {
    const [first] = shape;
    if (typeof first !== "string" || first === "?") continue;
    byName.set(first, [...(byName.get(first) ?? []), name]);
  }
  return [...byName.values()].filter((names) => names.length > 1);
}

/**
 * Whether the first dimension of all inputs may be one and the same: no two names of it. Where they are two, as the source and
 * the target of a translation are, rows of several requests must not be put after one another.
 */
export function haveOneRowName(inputs: readonly { readonly shape: readonly (number | string)[] }[]): boolean {
  const names = inputs.map(({ shape: [first] }) => first).filter((first) => typeof first === "string" && first !== "?");
  return new Set(names).size <= 1;
}

/** Throws `input_invalid` in Triton's words when inputs that share their first dimension have different sizes of it. */
export function checkRows(modelName: string, shared: SharedRows, inputs: readonly Tensor[]): void {
  for (const names of shared) {
    let first: Tensor | null = null;
    for (const input of inputs) {
      if (!names.includes(input.name)) continue;
      first ??= input;
      if (input.shape[0] === first.shape[0]) continue;
      throw invalid(
        `input '${input.name}' batch size does not match other inputs for '${modelName}': ` +
          `it has ${input.shape[0]}, '${first.name}' has ${first.shape[0]}`,
      );
    }
  }
}

/**
 * Throws `input_invalid` in Triton's words when a request has more rows than the model's configuration announces.
 * @param maxBatchSize 0 where the first dimension is no batch: then any size will do
 */
export function checkBatch(modelName: string, maxBatchSize: number, inputs: readonly Tensor[]): void {
  if (maxBatchSize === 0 || inputs.every(({ shape }) => (shape[0] ?? 0) <= maxBatchSize)) return;
  throw invalid(`inference request batch-size must be <= ${maxBatchSize} for '${modelName}'`);
}

function checkTensor(modelName: string, spec: TensorSpec, input: Tensor): void {
  if (input.datatype !== spec.datatype) {
    throw invalid(
      `inference input '${input.name}' data-type is '${input.datatype}', but model '${modelName}' expects '${spec.datatype}'`,
    );
  }
  if (!matchesShape(spec.shape, input.shape)) {
    throw invalid(
      `unexpected shape for input '${input.name}' for model '${modelName}'. ` +
        `Expected [${spec.shape.join(",")}], got [${input.shape.join(",")}]`,
    );
  }
  const expected = toElementCount(input.shape);
  const found = toDataElements(input);
  if (found !== expected) {
    throw invalid(`input '${input.name}' has ${found ?? "broken"} elements, its shape says ${expected}`);
  }
}

function matchesShape(spec: readonly number[], shape: readonly number[]): boolean {
  if (spec.length !== shape.length) return false;
  for (let axis = 0; axis < spec.length; axis += 1) {
    if (spec[axis] !== -1 && spec[axis] !== shape[axis]) return false;
  }
  return true;
}

function invalid(message: string): RuntimeError {
  return new RuntimeError("input_invalid", message);
}
