import { isMarkedAsUntransferable, parentPort } from "node:worker_threads";
import { env, InferenceSession, listSupportedBackends, Tensor as OrtTensor } from "onnxruntime-node";
import type { WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import type { Placement } from "./port.ts";
import type { Datatype, Tensor, TensorData, TensorSpec } from "./tensor.ts";

/*
 * The thread that owns one session. `session.run` blocks it for the whole inference, and nothing can interrupt it:
 * terminating a thread inside `run` aborts the process, so the thread only ever ends by itself, when it is idle.
 */

type OrtType = OrtTensor.Type;

const datatypeOf: Readonly<Partial<Record<OrtType, Datatype>>> = {
  bool: "BOOL",
  uint8: "UINT8",
  uint16: "UINT16",
  uint32: "UINT32",
  uint64: "UINT64",
  int8: "INT8",
  int16: "INT16",
  int32: "INT32",
  int64: "INT64",
  float16: "FP16",
  float32: "FP32",
  float64: "FP64",
};
const ortTypeOf = new Map(Object.entries(datatypeOf).map(([type, datatype]) => [datatype, type as OrtType]));

/** Fatal only: every other failure comes back as a rejected run, and a client must not be able to fill the log. */
const fatalSeverity = 4;

interface Session {
  readonly session: InferenceSession;
  readonly outputs: readonly TensorSpec[];
}

function post(response: WorkerResponse, transfer: ArrayBuffer[] = []): void {
  parentPort?.postMessage(response, transfer);
}

async function load(request: Extract<WorkerRequest, { kind: "load" }>): Promise<Session | null> {
  const { providers } = request;
  const offered = listSupportedBackends().map((backend) => backend.name);
  const unknown = providers.filter((provider) => !offered.includes(provider));
  if (unknown.length > 0 || providers.length === 0) {
    const message = `execution provider ${unknown.join(", ") || "(none)"} is not offered here; offered: ${offered.join(", ")}`;
    post({ kind: "load-failed", code: "provider_unknown", message });
    return null;
  }
  try {
    const session = await InferenceSession.create(request.model, toSessionOptions(providers, request.threads));
    const inputs = session.inputMetadata.map(toSpec);
    const outputs = session.outputMetadata.map(toSpec);
    const odd = [...inputs, ...outputs].find((spec) => typeof spec === "string");
    if (odd !== undefined) {
      post({ kind: "load-failed", code: "tensor_type_unsupported", message: String(odd) });
      return null;
    }
    const specs = { inputs: inputs as TensorSpec[], outputs: outputs as TensorSpec[] };
    post({ kind: "loaded", ...specs, placement: toPlacement(providers) });
    return { session, outputs: specs.outputs };
  } catch (error) {
    post({ kind: "load-failed", code: "model_load_failed", message: toMessage(error) });
    return null;
  }
}

function toSessionOptions(providers: readonly string[], threads: number): InferenceSession.SessionOptions {
  return {
    executionProviders: [...providers],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    logSeverityLevel: fatalSeverity,
    extra: {
      session: {
        intra_op: { allow_spinning: "0" },
        inter_op: { allow_spinning: "0" },
        ...(providers.includes("cpu") ? {} : { disable_cpu_ep_fallback: "1" }),
      },
    },
  };
}

/** Without "cpu" in the list the session was created with the fallback forbidden, so its existence is the proof. */
function toPlacement(providers: readonly string[]): Placement {
  const requestedProviders = [...providers];
  const only = providers.length === 1 ? (providers[0] ?? null) : null;
  if (only === "cpu") {
    return {
      requestedProviders,
      provedProvider: "cpu",
      proof: "cpu was the only provider asked for, and it is built in",
    };
  }
  if (only !== null) {
    return {
      requestedProviders,
      provedProvider: only,
      proof: "the session was created with the fallback to cpu forbidden",
    };
  }
  return { requestedProviders, provedProvider: null, proof: "several providers were asked for; none is proved" };
}

function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec | string {
  if (!metadata.isTensor) return `'${metadata.name}' is not a tensor`;
  const datatype = datatypeOf[metadata.type];
  if (datatype === undefined) return `'${metadata.name}' has the type ${metadata.type}`;
  const shape = metadata.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
  return { name: metadata.name, datatype, shape };
}

function toFeed(tensor: Tensor): OrtTensor {
  const type = ortTypeOf.get(tensor.datatype);
  if (type === undefined) throw new Error(`no tensor type for ${tensor.datatype}`);
  const feed = new OrtTensor(type, tensor.data as OrtTensor.DataType, tensor.shape);
  // The constructor turns 16-bit patterns into a Float16Array, which the native part of 1.30 reads as empty.
  if (type === "float16") Object.defineProperty(feed, "data", { value: tensor.data });
  return feed;
}

function fromOrt(name: string, tensor: OrtTensor): Tensor {
  const datatype = datatypeOf[tensor.type];
  if (datatype === undefined || tensor.type === "string")
    throw new Error(`output '${name}' has the type ${tensor.type}`);
  let data = tensor.data as TensorData;
  if (datatype === "FP16") data = new Uint16Array(data.buffer, data.byteOffset, data.length);
  return { name, datatype, shape: tensor.dims, data };
}

async function run(owned: Session, request: Extract<WorkerRequest, { kind: "run" }>): Promise<void> {
  const { sequence } = request;
  try {
    const feeds: Record<string, OrtTensor> = {};
    for (const input of request.inputs) feeds[input.name] = toFeed(input);
    const started = performance.now();
    const results = await owned.session.run(feeds);
    const runUs = (performance.now() - started) * 1_000;
    const outputs: Tensor[] = [];
    const transfer = new Set<ArrayBuffer>();
    for (const spec of owned.outputs) {
      const result = results[spec.name];
      if (result === undefined) throw new Error(`the run gave no output '${spec.name}'`);
      const output = fromOrt(spec.name, result);
      outputs.push(output);
      const buffer = output.data.buffer as ArrayBuffer;
      if (buffer.byteLength > 0 && !isMarkedAsUntransferable(buffer)) transfer.add(buffer);
    }
    post({ kind: "ran", sequence, outputs, runUs }, [...transfer]);
  } catch (error) {
    post({ kind: "run-failed", sequence, message: toMessage(error) });
  }
}

function toMessage(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 2_000);
}

/** Handles requests one after the other, so that a run is timed alone and answers come in order. */
function serve(): void {
  env.logLevel = "fatal";
  const queue: WorkerRequest[] = [];
  let owned: Session | null = null;
  let busy = false;
  const drain = async (): Promise<void> => {
    busy = true;
    for (let request = queue.shift(); request !== undefined; request = queue.shift()) {
      if (request.kind === "load") owned = await load(request);
      else if (request.kind === "close") {
        await owned?.session.release();
        parentPort?.close();
        return;
      } else if (owned !== null) await run(owned, request);
    }
    busy = false;
  };
  parentPort?.on("message", (request: WorkerRequest) => {
    queue.push(request);
    if (!busy) void drain();
  });
}

serve();
