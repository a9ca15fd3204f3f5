import { InferenceSession, Tensor } from "onnxruntime-node";
import type { TextMessage } from "./oip-model-config.ts";
import { fromStrings, toStrings, toTyped } from "./oip-tensors.ts";

/* What runs the models of oip-server.ts. */

export interface Description {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

/** A tensor with its elements as the binary tensor extension has them. */
export interface Part extends Description {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface Served {
  readonly config: TextMessage;
  readonly inputs: readonly Description[];
  readonly outputs: readonly Description[];
  run(inputs: readonly Part[]): Promise<Part[]>;
}

const ortTypes: Readonly<Record<string, Tensor.Type>> = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
};
const oipTypes = new Map(Object.entries(ortTypes).map(([oip, ort]) => [ort, oip]));

/** @param config what config.pbtxt says, which must fit the file; null where the server has no such file */
export async function openModel(bytes: Uint8Array, config: TextMessage | null): Promise<Served> {
  const echo = config === null ? null : toEcho(config);
  if (echo !== null) return echo;
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  const inputs = describe(session.inputMetadata);
  const outputs = describe(session.outputMetadata);
  if (config !== null) {
    checkTensors("input", config, inputs);
    checkTensors("output", config, outputs);
  }
  return {
    config: config ?? {},
    inputs,
    outputs,
    run: async (given) => {
      const results = await session.run(Object.fromEntries(given.map((part) => [part.name, toFeed(part)])));
      return session.outputNames.map((name) => toPart(name, results[name] as Tensor));
    },
  };
}

/** The runtime for Node has no tensor of BF16: a model of it gives back what it is given, which an Identity does. */
function toEcho(config: TextMessage): Served | null {
  const [input] = (config["input"] ?? []) as TextMessage[];
  const [output] = (config["output"] ?? []) as TextMessage[];
  if (input?.["data_type"]?.[0] !== "TYPE_BF16") return null;
  const toDescription = (tensor: TextMessage): Description => {
    const name = tensor["name"]?.[0];
    const shape = (tensor["dims"] ?? []).map(Number);
    return { name: typeof name === "string" ? name : "", datatype: "BF16", shape };
  };
  const outputs = [toDescription(output ?? {})];
  return {
    config,
    inputs: [toDescription(input)],
    outputs,
    run: async (given) => given.map((part, index) => ({ ...part, name: outputs[index]?.name ?? "" })),
  };
}

function describe(metadata: readonly InferenceSession.ValueMetadata[]): Description[] {
  return metadata.map((value) => {
    if (!value.isTensor) throw new Error(`${value.name} is no tensor`);
    const shape = value.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
    return { name: value.name, datatype: oipTypes.get(value.type) ?? value.type, shape };
  });
}

/** Same names, types and ranks; what the runtime knows of a dimension may be more than the configuration says. */
function checkTensors(field: "input" | "output", config: TextMessage, real: readonly Description[]): void {
  const configured = (config[field] ?? []) as TextMessage[];
  const fits = real.map(({ name, datatype, shape }, index) => {
    const { name: [said] = [], data_type: [type] = [], dims = [] }: Partial<TextMessage> = configured[index] ?? {};
    const fitsAt = (size: number, axis: number) => dims[axis] === "-1" || dims[axis] === String(size);
    const sameShape = dims.length === shape.length && shape.every(fitsAt);
    return said === name && type === (datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`) && sameShape;
  });
  if (configured.length !== real.length || fits.includes(false))
    throw new Error(
      `${field} of the configuration is ${JSON.stringify(configured)}, of the model ${JSON.stringify(real)}`,
    );
}

function toFeed({ datatype, shape, bytes }: Part): Tensor {
  if (datatype === "BYTES") return new Tensor("string", fromStrings(bytes), shape);
  const type = ortTypes[datatype];
  if (type === undefined) throw new Error(`no datatype ${datatype}`);
  const data = toTyped(datatype, bytes) as Tensor.DataType;
  const feed = new Tensor(type, data, shape);
  // The constructor makes a Float16Array of bit patterns, which the native part reads as empty.
  if (datatype === "FP16") Object.defineProperty(feed, "data", { value: data });
  return feed;
}

function toPart(name: string, { type, dims, data }: Tensor): Part {
  const typed = type === "string" ? toStrings(data as string[]) : (data as Float32Array);
  const bytes = Uint8Array.from(new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength));
  return { name, datatype: oipTypes.get(type) ?? type, shape: dims, bytes };
}
