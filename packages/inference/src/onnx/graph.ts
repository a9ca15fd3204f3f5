import { InspectionError } from "./inspection-error.ts";
import { type Scope, type Tally } from "./tally.ts";
import { readTensor } from "./tensor.ts";
import { readValueInfo, type TensorInfo } from "./value-info.ts";
import type { Range, WireReader } from "./wire.ts";

export interface GraphSummary {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
}

/** What a walk carries along: where it reads, what it counts, in which scope and how deep. */
export interface Walk {
  readonly reader: WireReader;
  readonly tally: Tally;
  readonly scope: Scope;
  readonly depth: number;
}

const maxValues = 20_000;

/** GraphProto. Inputs that have an initializer of the same name are weights with a default, not inputs (IR < 4). */
export function readGraph(walk: Walk, range: Range): GraphSummary {
  const { reader, tally } = walk;
  tally.checkDepth(walk.depth);
  const inputs: TensorInfo[] = [];
  const outputs: TensorInfo[] = [];
  const initializers = new Set<string>();
  for (const field of reader.fields(range)) {
    if (field.number === 1) readNode(walk, reader.message(field));
    else if (field.number === 5) {
      const tensor = readTensor(reader, reader.message(field));
      tally.addTensor(tensor);
      initializers.add(tensor.name);
      if (tensor.integer !== null) tally.addConstant(tensor.name, tensor.integer);
    } else if (field.number === 15) initializers.add(readSparseTensor(walk, reader.message(field)));
    else if (field.number === 11) inputs.push(readValueInfo(reader, reader.message(field)));
    else if (field.number === 12) outputs.push(readValueInfo(reader, reader.message(field)));
    if (inputs.length + outputs.length > maxValues) {
      throw new InspectionError("model_too_complex", `more than ${maxValues} inputs and outputs`);
    }
  }
  return { inputs: inputs.filter((input) => !initializers.has(input.name)), outputs };
}

/** Larger than what a model stores on purpose: the runtime makes a dense tensor of it when it loads the file. */
const maxDenseElements = 2 ** 28;

/** SparseTensorProto: values, their indices and the dense shape; the tensor's name is the name of its values. */
function readSparseTensor(walk: Walk, range: Range): string {
  let name = "";
  let elements = 1;
  for (const field of walk.reader.fields(range)) {
    if (field.number === 3) for (const dim of walk.reader.integers(field)) elements *= dim;
    if (!(elements >= 0 && elements <= maxDenseElements))
      throw new InspectionError(
        "model_too_complex",
        "a sparse tensor would have more than 2^28 elements, or fewer than 0",
      );
    if (field.number !== 1 && field.number !== 2) continue;
    const tensor = readTensor(walk.reader, walk.reader.message(field));
    walk.tally.addTensor(tensor);
    if (field.number === 1) name = tensor.name;
  }
  return name;
}

export function readNode(walk: Walk, range: Range): void {
  const { reader } = walk;
  let operator = "";
  let domain = "";
  let firstInput: string | null = null;
  let firstOutput: string | null = null;
  let constant: number | null = null;
  for (const field of reader.fields(range)) {
    if (field.number === 1) firstInput ??= reader.string(field);
    else if (field.number === 2) firstOutput ??= reader.string(field);
    else if (field.number === 4) operator = reader.string(field);
    else if (field.number === 7) domain = reader.string(field);
    else if (field.number === 5) constant = readAttribute(walk, reader.message(field)) ?? constant;
  }
  if (operator === "") throw new InspectionError("not_onnx", "a node has no operator");
  if (operator === "Loop" && firstInput !== null) walk.tally.addLoop(firstInput);
  if (operator === "Constant" && firstOutput !== null && constant !== null)
    walk.tally.addConstant(firstOutput, constant);
  walk.tally.addNode({ operator, domain }, walk.scope);
}

/** AttributeProto: only tensors, graphs and a whole number matter here. @returns the number, if it holds one */
function readAttribute(walk: Walk, range: Range): number | null {
  let constant: number | null = null;
  for (const field of walk.reader.fields(range)) {
    if (field.number === 3) constant = field.value;
    else if (field.number === 5 || field.number === 10) {
      const tensor = readTensor(walk.reader, walk.reader.message(field));
      walk.tally.addTensor(tensor);
      constant ??= tensor.integer;
    } else if (field.number === 6 || field.number === 11) {
      readGraph({ ...walk, depth: walk.depth + 1 }, walk.reader.message(field));
    } else if (field.number === 22 || field.number === 23) readSparseTensor(walk, walk.reader.message(field));
  }
  return constant;
}
