import type { Datatype, TensorSpec } from "@fairlead/inference";
import type { Load } from "./load.ts";

const extensions = ["binary_tensor_data", "model_configuration", "model_repository", "statistics"];

/** Open Inference Protocol, "Server Metadata". */
export function toServerDocument(sharedMemory: boolean): object {
  const offered = sharedMemory ? [...extensions, "system_shared_memory"] : extensions;
  return { name: "fairlead", version: "0.1.0", extensions: offered };
}

/** Open Inference Protocol, "Model Metadata". */
export function toModelDocument({ target, version }: Load): object {
  return {
    name: target.name,
    versions: [version],
    platform: "onnx_onnxv1",
    inputs: target.inputs,
    outputs: target.outputs,
  };
}

/** Triton's names for datatypes in a model configuration (model_config.proto, enum DataType). */
function toConfigType(datatype: Datatype): string {
  return datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`;
}

/** Triton's model configuration extension. Batches are part of the shape here, so max_batch_size is 0. */
export function toConfigDocument({ target, version }: Load): object {
  const toEntry = ({ name, datatype, shape }: TensorSpec) => ({ name, data_type: toConfigType(datatype), dims: shape });
  return {
    name: target.name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    version_policy: { specific: { versions: [version] } },
    max_batch_size: 0,
    input: target.inputs.map(toEntry),
    output: target.outputs.map(toEntry),
    instance_group: [{ count: 1, kind: "KIND_CPU" }],
  };
}
