import { toElementCount, type Tensor } from "../tensor.ts";
import type { InferRequest } from "./infer-request.ts";
import { toJsonData } from "./json-data.ts";
import { ProtocolError } from "./protocol-error.ts";

export interface InferResponse {
  /** The body: first the JSON part, then one part per binary output. Views of the outputs, not copies. */
  readonly parts: readonly Uint8Array[];
  readonly totalBytes: number;
  /** Value of Inference-Header-Content-Length; null when the whole body is JSON. */
  readonly jsonBytes: number | null;
}

/**
 * Values of one answer as JSON. Text is made on the thread that reads everybody's requests: a million values take it half a
 * second and 20 MB, ten million took it five seconds and most of a gigabyte.
 */
const maxJsonValues = 1_048_576;

function requireFewValues(wanted: InferRequest["outputs"], outputs: readonly Tensor[]): void {
  const asText = new Set(wanted.flatMap(({ name, binary }) => (binary ? [] : [name])));
  const values = outputs.reduce((sum, { name, shape }) => sum + (asText.has(name) ? toElementCount(shape) : 0), 0);
  if (values <= maxJsonValues) return;
  throw new ProtocolError(
    "request_too_large",
    `the answer has ${values} values, at most ${maxJsonValues} are written as JSON; ask for binary outputs`,
  );
}

/**
 * Serialises the answer in the form that the request asked for, output by output.
 * @throws ProtocolError `response_not_json` · `request_too_large`
 */
export function toInferResponse(
  model: { readonly name: string; readonly version: string },
  request: Pick<InferRequest, "id" | "outputs">,
  outputs: readonly Tensor[],
): InferResponse {
  const heads: string[] = [];
  const binaries: Uint8Array[] = [];
  let totalBytes = 0;
  requireFewValues(request.outputs, outputs);
  for (const wanted of request.outputs) {
    const output = outputs.find((candidate) => candidate.name === wanted.name);
    if (output === undefined) throw new ProtocolError("response_not_json", `the model gave no output '${wanted.name}'`);
    const { data } = output;
    const head = `{"name":${JSON.stringify(output.name)},"datatype":"${output.datatype}","shape":[${output.shape.join(",")}]`;
    if (wanted.binary) {
      binaries.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      totalBytes += data.byteLength;
      heads.push(`${head},"parameters":{"binary_data_size":${data.byteLength}}}`);
    } else heads.push(`${head},"data":${toJsonData(output.name, output.datatype, data)}}`);
  }
  const id = request.id === null ? "" : `"id":${JSON.stringify(request.id)},`;
  const names = `"model_name":${JSON.stringify(model.name)},"model_version":${JSON.stringify(model.version)}`;
  const json = Buffer.from(`{${id}${names},"outputs":[${heads.join(",")}]}`);
  const jsonBytes = binaries.length === 0 ? null : json.length;
  return { parts: [json, ...binaries], totalBytes: totalBytes + json.length, jsonBytes };
}
