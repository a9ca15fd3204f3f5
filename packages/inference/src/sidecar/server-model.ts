import { isDatatype, onnxNames, type Datatype, type TensorSpec } from "../tensor.ts";
import type { OnnxInspection } from "../onnx/inspect.ts";
import type { TensorInfo } from "../onnx/value-info.ts";
import type { Placement } from "../port.ts";
import { RuntimeError } from "../runtime-error.ts";

export interface ModelEdge {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

const datatypes = new Map<string, Datatype>(
  Object.entries(onnxNames).map(([datatype, name]) => [name, datatype as Datatype]),
);

/** Inputs and outputs as the file itself states them. @throws RuntimeError `tensor_type_unsupported` */
export function toFileEdge({ inputs, outputs }: OnnxInspection): ModelEdge {
  return { inputs: inputs.map(toSpec), outputs: outputs.map(toSpec) };
}

function toSpec({ name, elementType, shape }: TensorInfo): TensorSpec {
  const datatype = datatypes.get(elementType);
  if (datatype === undefined)
    throw new RuntimeError("tensor_type_unsupported", `'${name}' has the type ${elementType}`);
  const dimensions = shape.map((size) => (typeof size === "number" && size >= 0 ? size : -1));
  return { name, datatype, shape: dimensions };
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * What the model takes and gives on this server, in the file's order: the server's metadata must name the same tensors
 * with the same types, and may fix dimensions that the file leaves free.
 * @param metadata the answer to GET v2/models/{model}/versions/{version}
 * @throws RuntimeError `model_load_failed` when the server serves something else than the file
 */
export function checkMetadata(model: string, edge: ModelEdge, metadata: unknown): ModelEdge {
  if (!isObject(metadata)) throw wrong("it is no JSON object");
  if (metadata["name"] !== model) throw wrong(`it is of the model ${show(metadata["name"])}`);
  return {
    inputs: checkTensors("inputs", edge.inputs, metadata["inputs"]),
    outputs: checkTensors("outputs", edge.outputs, metadata["outputs"]),
  };
}

function checkTensors(what: "inputs" | "outputs", specs: readonly TensorSpec[], value: unknown): TensorSpec[] {
  if (!Array.isArray(value) || value.length > 1_024) throw wrong(`it has no array '${what}'`);
  if (value.length !== specs.length) throw wrong(`it has ${value.length} ${what}, the file has ${specs.length}`);
  return specs.map((spec) => {
    const said: unknown = value.find((item) => isObject(item) && item["name"] === spec.name);
    if (!isObject(said)) throw wrong(`'${spec.name}' is not among its ${what}`);
    const { datatype, shape } = said;
    if (typeof datatype !== "string" || !isDatatype(datatype) || datatype !== spec.datatype)
      throw wrong(`'${spec.name}' is ${show(datatype)}, the file says ${spec.datatype}`);
    return { ...spec, shape: narrow(spec, shape) };
  });
}

function narrow({ name, shape }: TensorSpec, said: unknown): number[] {
  const refuse = () => wrong(`'${name}' has the shape ${show(said)}, the file says [${shape.join(",")}]`);
  if (!Array.isArray(said) || !said.every((size) => Number.isSafeInteger(size) && Number(size) >= -1)) throw refuse();
  // A server whose models have no scalars offers them as one element.
  if (shape.length === 0 && said.length === 1 && said[0] === 1) return [1];
  if (said.length !== shape.length) throw refuse();
  return shape.map((size, axis) => {
    const other = Number(said[axis]);
    if (size !== -1 && other !== -1 && size !== other) throw refuse();
    return size === -1 ? other : size;
  });
}

/**
 * Where the server says that the model runs. Only "on the processor, with no accelerator" leaves nothing open: an instance
 * on an accelerator gives the nodes that it cannot run back to the processor, and no part of the protocol says which.
 * @param config the answer to GET v2/models/{model}/config (model configuration extension); null when there is none
 */
export function toSidecarPlacement(requested: readonly string[], config: unknown): Placement {
  const unproved = (proof: string): Placement => ({ requestedProviders: requested, shares: null, proof });
  if (!isObject(config))
    return unproved("the server does not tell a model's configuration: nothing proves where it runs");
  const groups = config["instance_group"];
  if (!Array.isArray(groups) || groups.length === 0 || !groups.every(isObject))
    return unproved("the server's configuration of the model names no instances: nothing proves where it runs");
  const kinds = [...new Set(groups.map((group) => String(group["kind"]).slice(0, 64)))].join(", ").slice(0, 200);
  const accelerators = listAccelerators(config["optimization"]);
  if (kinds === "KIND_CPU" && accelerators === "") {
    const proof =
      "the server's configuration of the running model says KIND_CPU for every instance, and no accelerator";
    return { requestedProviders: requested, shares: { cpu: 1 }, proof };
  }
  const said = accelerators === "" ? kinds : `${kinds} with ${accelerators}`;
  return unproved(`the server's configuration of the model says ${said}; it does not say which nodes ran there`);
}

function listAccelerators(optimization: unknown): string {
  const groups = isObject(optimization) ? optimization["execution_accelerators"] : undefined;
  const listed = isObject(groups) ? Object.values(groups).flat() : [];
  return listed
    .map((item: unknown) => (isObject(item) ? String(item["name"]) : "unknown"))
    .join(", ")
    .slice(0, 200);
}

function show(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 120);
}

function wrong(message: string): RuntimeError {
  return new RuntimeError("model_load_failed", `the server's metadata does not fit the file: ${message}`);
}
