import { toErrorMessage } from "@fairlead/kernel";
import { toJsonData } from "../open-inference/json-data.ts";
import { RuntimeError } from "../runtime-error.ts";
import { toElementCount, type Tensor, type TensorSpec } from "../tensor.ts";

/** A request of the Open Inference Protocol. */
export interface InferBody {
  /** Null when all of it is JSON. */
  readonly jsonBytes: number | null;
  /** JSON first, then the inputs as they lie in memory: little-endian, row-major. */
  readonly parts: readonly Uint8Array[];
}

/** Text is made on the thread that reads everybody's requests. */
const maxJsonValues = 1_048_576;

/**
 * Every tensor as JSON, for servers without the binary tensor extension.
 * @throws RuntimeError `input_invalid` for values that JSON does not have, or for too many
 */
export function toJsonInferBody(id: string, inputs: readonly Tensor[], outputs: readonly TensorSpec[]): InferBody {
  const values = inputs.reduce((sum, { shape }) => sum + toElementCount(shape), 0);
  if (values > maxJsonValues)
    throw new RuntimeError(
      "input_invalid",
      `the inputs have ${values} values, and a server that takes JSON only is sent at most ${maxJsonValues}`,
    );
  const heads = inputs.map(({ name, datatype, shape, data }) => {
    try {
      const head = JSON.stringify({ name, datatype, shape }).slice(0, -1);
      return `${head},"data":${toJsonData(name, datatype, data)}}`;
    } catch (error) {
      const reason = toErrorMessage(error).replaceAll("output", "input");
      throw new RuntimeError("input_invalid", `${reason}, and the server of this model takes JSON only`, error);
    }
  });
  const names = JSON.stringify(outputs.map(({ name }) => ({ name })));
  return {
    jsonBytes: null,
    parts: [Buffer.from(`{"id":${JSON.stringify(id)},"inputs":[${heads.join(",")}],"outputs":${names}}`)],
  };
}

/**
 * Every tensor as binary data (binary tensor data extension). Asks for every output of the model by name, each as binary
 * data.
 */
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
