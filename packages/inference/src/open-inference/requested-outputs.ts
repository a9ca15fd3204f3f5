import type { TensorSpec } from "../tensor.ts";
import { ProtocolError } from "./protocol-error.ts";
import {
  isObject,
  malformed,
  parseFlag,
  parseParameters,
  parseSharedPlace,
  type JsonObject,
  type SharedRange,
} from "./request-json.ts";

export interface RequestedOutput {
  readonly name: string;
  readonly binary: boolean;
  /** What is answered instead of the values; absent for the values. */
  readonly instead?: InsteadOfValues;
}

/** `classes`: the highest so many of each row, as text. `shared`: the values go there, and the answer says so. */
export type InsteadOfValues =
  | { readonly kind: "classes"; readonly count: number }
  | { readonly kind: "shared"; readonly range: SharedRange };

interface OutputsOf {
  readonly name: string;
  readonly outputs: readonly TensorSpec[];
}

/** Throws where shared memory cannot take the outputs of a request; absent where there is none. */
export type CheckShared = (ranges: readonly SharedRange[]) => void;

/** In the order in which they are answered; every output of the model unless the request chose. Throws ProtocolError. */
export function parseOutputs(model: OutputsOf, request: JsonObject, checkShared?: CheckShared): RequestedOutput[] {
  const all = parseFlag(parseParameters(request), "binary_data_output") ?? false;
  const value = request["outputs"];
  if (value === undefined || (Array.isArray(value) && value.length === 0)) {
    return model.outputs.map(({ name }) => ({ name, binary: all }));
  }
  if (!Array.isArray(value) || value.length > 256) throw malformed("'outputs' is no array of at most 256 entries");
  const outputs: RequestedOutput[] = [];
  for (const item of value) {
    const name: unknown = isObject(item) ? item["name"] : undefined;
    if (!isObject(item) || typeof name !== "string") throw malformed("an output has no 'name'");
    const spec = model.outputs.find((one) => one.name === name);
    if (spec === undefined)
      throw malformed(`unexpected inference output '${name.slice(0, 256)}' for model '${model.name}'`);
    const parameters = parseParameters(item);
    const binary = parseFlag(parameters, "binary_data") ?? all;
    const instead = parseInstead(spec, parameters);
    outputs.push(instead === null ? { name, binary } : { name, binary, instead });
  }
  const ranges = outputs.flatMap(({ instead }) => (instead?.kind === "shared" ? [instead.range] : []));
  if (ranges.length > 0) {
    if (checkShared === undefined)
      throw new ProtocolError("not_supported", "shared memory is not supported for outputs here");
    checkShared(ranges);
  }
  return outputs;
}

function parseInstead(spec: TensorSpec, parameters: JsonObject): InsteadOfValues | null {
  const { classification, shared_memory_region: region } = parameters;
  if (classification === undefined && region === undefined) return null;
  const tensor = `output '${spec.name}'`;
  if (classification !== undefined && region !== undefined)
    throw malformed(`${tensor} is asked for as classes and in shared memory: one of them`);
  if (classification !== undefined) {
    if (!Number.isSafeInteger(classification) || Number(classification) < 1)
      throw malformed(`${tensor} has no 'classification' that is a count of classes`);
    return { kind: "classes", count: Number(classification) };
  }
  // How long strings are together is known only when they are there, and their region could not have been laid out.
  if (spec.datatype === "BYTES") throw new ProtocolError("not_supported", `${tensor}: no strings in shared memory`);
  const place = parseSharedPlace(tensor, parameters);
  const size = parameters["shared_memory_byte_size"];
  if (!Number.isSafeInteger(size) || Number(size) < 0)
    throw malformed(`${tensor} has no 'shared_memory_byte_size' that is a count`);
  return { kind: "shared", range: { ...place, byteSize: Number(size) } };
}
