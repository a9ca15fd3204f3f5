import type { Tensor, TensorSpec } from "../tensor.ts";

/** A request of the Open Inference Protocol with every tensor as binary data (binary tensor data extension). */
export interface InferBody {
  readonly jsonBytes: number;
  /** JSON first, then the inputs as they lie in memory: little-endian, row-major. */
  readonly parts: readonly Uint8Array[];
}

/** Asks for every output of the model by name, each as binary data. */
export function toInferBody(id: string, inputs: readonly Tensor[], outputs: readonly TensorSpec[]): InferBody {
  const json = Buffer.from(
    JSON.stringify({
      id,
      inputs: inputs.map(({ name, datatype, shape, data }) => ({
        name,
        datatype,
        shape,
        parameters: { binary_data_size: data.byteLength },
      })),
      outputs: outputs.map(({ name }) => ({ name, parameters: { binary_data: true } })),
    }),
  );
  const binaries = inputs.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { jsonBytes: json.length, parts: [json, ...binaries] };
}
