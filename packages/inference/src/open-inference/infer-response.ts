import { toElementCount, type Tensor } from "../tensor.ts";
import { maxClassifiedValues, toClasses } from "./classes.ts";
import type { InferRequest } from "./infer-request.ts";
import { maxJsonValues } from "./json-bounds.ts";
import { toJsonData } from "./json-data.ts";
import { ProtocolError } from "./protocol-error.ts";
import type { SharedRange } from "./request-json.ts";
import type { RequestedOutput } from "./requested-outputs.ts";

export interface InferResponse {
  /** The body: first the JSON part, then one part per binary output. Views of the outputs, not copies. */
  readonly parts: readonly Uint8Array[];
  readonly totalBytes: number;
  /** Value of Inference-Header-Content-Length; null when the whole body is JSON. */
  readonly jsonBytes: number | null;
}

/** What an answer is made with. */
export interface AnsweringModel {
  readonly name: string;
  readonly version: string;
  /** Names of the classes of one output; null or absent where nobody gave any. */
  readonly classification?: { readonly output: string; readonly labels: readonly string[] } | null;
  /** Takes outputs that are asked for in shared memory. Throws when it cannot. */
  readonly shared?: { write(range: SharedRange, bytes: Uint8Array): void };
}

/**
 * Text is made on the thread that reads everybody's requests: a million values take it half a second and 20 MB, ten million
 * took it five seconds and most of a gigabyte. An output that is asked for twice counts twice: a request may name each as often
 * as it likes.
 */
function requireFewValues(wanted: readonly RequestedOutput[], outputs: readonly Tensor[]): void {
  let values = 0;
  let classified = 0;
  for (const { name, binary, instead } of wanted) {
    if (instead === undefined && binary) continue;
    const count = toElementCount(findOutput(name, outputs).shape);
    if (instead === undefined) values += count;
    else if (instead.kind === "classes") classified += count;
  }
  if (values > maxJsonValues)
    throw new ProtocolError(
      "request_too_large",
      `the answer has ${values} values, at most ${maxJsonValues} are written as JSON; ask for binary outputs`,
    );
  if (classified > maxClassifiedValues)
    throw new ProtocolError(
      "request_too_large",
      `classes are asked for among ${classified} values, the limit is ${maxClassifiedValues}; ask for the values`,
    );
}

function findOutput(name: string, outputs: readonly Tensor[]): Tensor {
  const output = outputs.find((candidate) => candidate.name === name);
  if (output === undefined) throw new ProtocolError("response_not_json", `the model gave no output '${name}'`);
  return output;
}

/**
 * Serialises the answer in the form that the request asked for, output by output.
 * @throws ProtocolError `response_not_json` · `request_too_large` · `not_supported`, and what shared memory refuses with
 */
export function toInferResponse(
  model: AnsweringModel,
  request: Pick<InferRequest, "id" | "outputs">,
  outputs: readonly Tensor[],
): InferResponse {
  const heads: string[] = [];
  const binaries: Uint8Array[] = [];
  const writes: (() => void)[] = [];
  let totalBytes = 0;
  requireFewValues(request.outputs, outputs);
  for (const { name, binary, instead } of request.outputs) {
    const found = findOutput(name, outputs);
    const output = instead?.kind === "classes" ? toClasses(found, instead.count, findLabels(model, name)) : found;
    const { data } = output;
    const head = `{"name":${JSON.stringify(name)},"datatype":"${output.datatype}","shape":[${output.shape.join(",")}]`;
    if (instead?.kind === "shared") {
      writes.push(() => model.shared?.write(instead.range, toBytes(data)));
      heads.push(`${head},"parameters":${toSharedParameters(instead.range, data.byteLength)}}`);
    } else if (binary) {
      binaries.push(toBytes(data));
      totalBytes += data.byteLength;
      heads.push(`${head},"parameters":{"binary_data_size":${data.byteLength}}}`);
    } else heads.push(`${head},"data":${toJsonData(name, output.datatype, data)}}`);
  }
  const id = request.id === null ? "" : `"id":${JSON.stringify(request.id)},`;
  const names = `"model_name":${JSON.stringify(model.name)},"model_version":${JSON.stringify(model.version)}`;
  const json = Buffer.from(`{${id}${names},"outputs":[${heads.join(",")}]}`);
  const jsonBytes = binaries.length === 0 ? null : json.length;
  // Last, so that an answer that cannot be given writes nothing.
  for (const write of writes) write();
  return { parts: [json, ...binaries], totalBytes: totalBytes + json.length, jsonBytes };
}

function toBytes({ buffer, byteOffset, byteLength }: Tensor["data"]): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function findLabels({ classification }: AnsweringModel, output: string): readonly string[] {
  return classification?.output === output ? classification.labels : [];
}

function toSharedParameters({ region, offset }: SharedRange, byteSize: number): string {
  return JSON.stringify({
    shared_memory_region: region,
    shared_memory_offset: offset,
    shared_memory_byte_size: byteSize,
  });
}
