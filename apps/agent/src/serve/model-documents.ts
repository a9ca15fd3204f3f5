import { isJoinable, type Datatype, type TensorSpec } from "@fairlead/inference";
import type { Load } from "./load.ts";

const extensions = ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"];

/** Open Inference Protocol, "Server Metadata". */
export function toServerDocument(sharedMemory: boolean): object {
  const offered = sharedMemory ? [...extensions, "system_shared_memory"] : extensions;
  return { name: "fairlead", version: "0.1.0", extensions: offered };
}

/** Every version that a slot has, each once; slots with the same version answer for one another. */
const toVersions = (loads: readonly Load[]): string[] => [...new Set(loads.map(({ version }) => version))];

/** Open Inference Protocol, "Model Metadata". `all`: what answers for the model's name, whatever the version. */
export function toModelDocument({ target }: Load, all: readonly Load[]): object {
  return {
    name: target.name,
    versions: toVersions(all),
    platform: "onnx_onnxv1",
    inputs: target.inputs,
    outputs: target.outputs,
  };
}

/** Triton's names for datatypes in a model configuration (model_config.proto, enum DataType). */
function toConfigType(datatype: Datatype): string {
  return datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`;
}

/** Of model_config.proto, ModelInstanceGroup.Kind. */
type InstanceKind = "KIND_CPU" | "KIND_GPU" | "KIND_MODEL" | "KIND_AUTO";

const graphicsProviders: ReadonlySet<string> = new Set(["cuda", "tensorrt", "webgpu", "dml"]);

/** What was proved, never what was asked for; what Triton has no word for is the model's own affair, what nobody knows is automatic. */
export function toInstanceKind({ requestedProviders, shares }: Load["placement"]): InstanceKind {
  if (shares === null) return requestedProviders.every((provider) => provider === "cpu") ? "KIND_CPU" : "KIND_AUTO";
  const accelerators = Object.keys(shares).filter((provider) => provider !== "cpu" && (shares[provider] ?? 0) > 0);
  if (accelerators.length === 0) return "KIND_CPU";
  return accelerators.every((provider) => graphicsProviders.has(provider)) ? "KIND_GPU" : "KIND_MODEL";
}

/**
 * Triton's model configuration extension (model_config.proto). Where requests are joined, the first dimension is the batch
 * and not in `dims`, as Triton's clients expect it; where they are not it is part of the shape, and max_batch_size is 0.
 */
export function toConfigDocument(load: Load, all: readonly Load[]): object {
  const { target, settings, placement, instances } = load;
  const joins = settings.maxBatchSize > 1 && isJoinable(target);
  const toEntry = ({ name, datatype, shape }: TensorSpec) => ({
    name,
    data_type: toConfigType(datatype),
    dims: joins ? shape.slice(1) : shape,
  });
  const text = (value: string | number) => ({ string_value: String(value) });
  return {
    name: target.name,
    platform: "onnxruntime_onnx",
    backend: "onnxruntime",
    version_policy: { specific: { versions: toVersions(all) } },
    max_batch_size: joins ? settings.maxBatchSize : 0,
    input: target.inputs.map(toEntry),
    output: target.outputs.map(toEntry),
    instance_group: [{ count: instances.models.length, kind: toInstanceKind(placement) }],
    ...(joins ? { dynamic_batching: toBatching(settings) } : {}),
    // Triton has a queue policy with dynamic batching only, and no field for the rest.
    parameters: {
      queue_limit: text(settings.queueLimit),
      priority: text(settings.priority),
      execution_providers: text(placement.requestedProviders.join(",")),
      placement: text(placement.proof),
    },
  };
}

function toBatching({ maxQueueDelayMs, queueLimit }: Load["settings"]): object {
  return {
    max_queue_delay_microseconds: Math.round(maxQueueDelayMs * 1_000),
    default_queue_policy: { timeout_action: "REJECT", allow_timeout_override: true, max_queue_size: queueLimit },
  };
}
