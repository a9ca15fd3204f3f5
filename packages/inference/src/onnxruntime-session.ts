import { Tensor as OrtTensor, type InferenceSession } from "onnxruntime-node";
import { decodeStrings, encodeStrings } from "./string-data.ts";
import { onnxNames, type Datatype, type Tensor, type TensorData, type TensorSpec } from "./tensor.ts";

/* What a session of ONNX Runtime is opened with, and how tensors get in and out of it: the same in every thread and process. */

type OrtType = OrtTensor.Type;

/** The runtime for Node has no tensor of bfloat16. */
const { BF16: _absent, ...ortTypes } = onnxNames;
const ortTypeOf: Readonly<Partial<Record<Datatype, OrtType>>> = ortTypes;
const datatypeOf = new Map<string, Datatype>(
  Object.entries(ortTypes).map(([datatype, type]) => [type, datatype as Datatype]),
);

/** While a model loads its warnings are worth reading; whoever owns the process condenses them. */
const warningSeverity = 2;
/** Fatal only: every other failure comes back as a rejected run, and a client must not be able to fill the log. */
const fatalSeverity = 4;

/** Of every run. */
export const runOptions = { logSeverityLevel: fatalSeverity } as const;

export interface SessionSettings {
  readonly providers: readonly string[];
  /** Threads of one run. */
  readonly threads: number;
}

export function toSessionOptions({ providers, threads }: SessionSettings): InferenceSession.SessionOptions {
  return {
    executionProviders: [...providers],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: warningSeverity,
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        inter_op: { allow_spinning: "0" },
        // Without it 8-bit products saturate on x64 processors that lack VNNI, and the same build answers otherwise there.
        x64quantprecision: "1",
        ...(providers.includes("cpu") ? {} : { disable_cpu_ep_fallback: "1" }),
      },
    },
  };
}

export function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec | string {
  if (!metadata.isTensor) return `'${metadata.name}' is not a tensor`;
  const datatype = datatypeOf.get(metadata.type);
  if (datatype === undefined) return `'${metadata.name}' has the type ${metadata.type}`;
  const shape = metadata.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
  return { name: metadata.name, datatype, shape };
}

function toFeed(tensor: Tensor): OrtTensor {
  if (tensor.datatype === "BYTES") {
    const strings = decodeStrings(tensor.data as Uint8Array);
    if (strings === null) throw new Error(`input '${tensor.name}' holds strings that are no UTF-8`);
    return new OrtTensor("string", strings, tensor.shape);
  }
  const type = ortTypeOf[tensor.datatype];
  if (type === undefined) throw new Error(`no tensor type for ${tensor.datatype}`);
  const feed = new OrtTensor(type, tensor.data as OrtTensor.DataType, tensor.shape);
  // The constructor turns 16-bit patterns into a Float16Array, which the native part of 1.30 reads as empty.
  if (type === "float16") Object.defineProperty(feed, "data", { value: tensor.data });
  return feed;
}

function fromOrt(name: string, tensor: OrtTensor): Tensor {
  const datatype = datatypeOf.get(tensor.type);
  if (datatype === undefined) throw new Error(`output '${name}' has the type ${tensor.type}`);
  if (tensor.type === "string")
    return { name, datatype, shape: tensor.dims, data: encodeStrings(tensor.data as unknown as string[]) };
  let data = tensor.data as TensorData;
  if (datatype === "FP16") data = new Uint16Array(data.buffer, data.byteOffset, data.length);
  return { name, datatype, shape: tensor.dims, data };
}

function collectOutputs(specs: readonly TensorSpec[], results: InferenceSession.OnnxValueMapType): Tensor[] {
  return specs.map((spec) => {
    const result = results[spec.name];
    if (result === undefined) throw new Error(`the run gave no output '${spec.name}'`);
    return fromOrt(spec.name, result as OrtTensor);
  });
}

/** One run. Blocks this thread until it ends. */
export async function runSession(
  session: InferenceSession,
  specs: readonly TensorSpec[],
  inputs: readonly Tensor[],
): Promise<Tensor[]> {
  const feeds: Record<string, OrtTensor> = {};
  for (const input of inputs) feeds[input.name] = toFeed(input);
  return collectOutputs(specs, await session.run(feeds, runOptions));
}
