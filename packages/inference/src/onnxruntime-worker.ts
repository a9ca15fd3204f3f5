import { constants, platform, setPriority } from "node:os";
import { isMainThread, isMarkedAsUntransferable, parentPort } from "node:worker_threads";
import { env, InferenceSession, listSupportedBackends, Tensor as OrtTensor } from "onnxruntime-node";
import type { RunRequest, RunResponse, WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import { isDeviceLost } from "./placement/device-lost.ts";
import { measureShares, ProfileFolder, runOnZeros } from "./placement/warm-up.ts";
import type { Placement } from "./port.ts";
import { decodeStrings, encodeStrings } from "./string-data.ts";
import type { Datatype, Tensor, TensorData, TensorSpec } from "./tensor.ts";

/*
 * The thread, or the process, that owns one session. `session.run` blocks it for the whole inference, and nothing can
 * interrupt it: terminating a thread inside `run` aborts its process, so a thread only ever ends by itself, when it is idle.
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
  string: "BYTES",
};
const ortTypeOf = new Map(Object.entries(datatypeOf).map(([type, datatype]) => [datatype, type as OrtType]));

/** While a model loads its warnings are worth reading; whoever owns the process condenses them. */
const warningSeverity = 2;
/** Fatal only: every other failure comes back as a rejected run, and a client must not be able to fill the log. */
const fatalSeverity = 4;

const runOptions = { logSeverityLevel: fatalSeverity } as const;

interface Session {
  readonly session: InferenceSession;
  readonly outputs: readonly TensorSpec[];
  /** Whether an accelerator runs some of it: its failures may be the accelerator's. */
  readonly accelerated: boolean;
  /** Whether a run on zeros succeeded when it was loaded, so that one that fails says something. */
  readonly bearsZeros: boolean;
}

function post(response: WorkerResponse, transfer: ArrayBuffer[] = []): void {
  if (isMainThread) process.send?.(response);
  else parentPort?.postMessage(response, transfer);
}

/**
 * Linux counts niceness by thread, and threads that the session starts inherit it (setpriority(2), "C library/kernel
 * differences"); elsewhere it would be that of the whole process.
 */
function goToBackground(): void {
  if (platform() === "linux") setPriority(0, constants.priority.PRIORITY_LOW);
}

const listOffered = (): string[] => listSupportedBackends().map((backend) => backend.name);

async function load(request: Extract<WorkerRequest, { kind: "load" }>): Promise<Session | null> {
  const { providers } = request;
  if (request.background) goToBackground();
  const offered = listOffered();
  const unknown = providers.filter((provider) => !offered.includes(provider));
  if (unknown.length > 0 || providers.length === 0) {
    const message = `execution provider ${unknown.join(", ") || "(none)"} is not offered here; offered: ${offered.join(", ")}`;
    post({ kind: "load-failed", code: "provider_unknown", message });
    return null;
  }
  try {
    const { session, placement, bearsZeros } = await openSession(request);
    const inputs = session.inputMetadata.map(toSpec);
    const outputs = session.outputMetadata.map(toSpec);
    const odd = [...inputs, ...outputs].find((spec) => typeof spec === "string");
    if (odd !== undefined) {
      post({ kind: "load-failed", code: "tensor_type_unsupported", message: String(odd) });
      return null;
    }
    const specs = { inputs: inputs as TensorSpec[], outputs: outputs as TensorSpec[] };
    post({ kind: "loaded", ...specs, placement });
    const accelerated = providers[0] !== "cpu" && placement.failedProvider === undefined;
    return { session, outputs: specs.outputs, accelerated, bearsZeros };
  } catch (error) {
    const code = error instanceof AcceleratorFailure ? "accelerator_failed" : "model_load_failed";
    post({ kind: "load-failed", code, message: toMessage(error) });
    return null;
  }
}

/** The model is good, and the accelerator does not run it. */
class AcceleratorFailure extends Error {}

interface Opened {
  readonly session: InferenceSession;
  readonly placement: Placement;
  readonly bearsZeros: boolean;
}

type SessionRequest = Pick<
  Extract<WorkerRequest, { kind: "load" }>,
  "model" | "providers" | "threads" | "standIn" | "profileFolder"
>;

/** Opens the session in the way that lets its placement be proved; see `Placement`. */
async function openSession(request: SessionRequest): Promise<Opened> {
  const requestedProviders = [...request.providers];
  const [wanted = "cpu"] = requestedProviders;
  if (!requestedProviders.includes("cpu")) return await openWithoutCpu(request);
  if (requestedProviders.length === 1) return await openOnCpu(request);
  try {
    return await openProfiled(request);
  } catch (error) {
    const reason = `${wanted} failed: ${toMessage(error)}`;
    if (!request.standIn) throw new AcceleratorFailure(reason, { cause: error });
    const { placement, ...rest } = await openOnCpu(request);
    const proof = `the cpu stands in: ${reason}`.slice(0, 500);
    const failed = wanted === "cpu" ? {} : { failedProvider: wanted };
    return { ...rest, placement: { ...placement, requestedProviders, proof, ...failed } };
  }
}

async function openOnCpu(request: SessionRequest): Promise<Opened> {
  const session = await InferenceSession.create(request.model, toSessionOptions({ ...request, providers: ["cpu"] }));
  const placement = { requestedProviders: ["cpu"], shares: { cpu: 1 }, proof: "cpu was asked for" };
  return { session, placement, bearsZeros: false };
}

/** The runtime refuses a model of which one node would fall to the cpu, and a run on zeros shows that the rest works. */
async function openWithoutCpu(request: SessionRequest): Promise<Opened> {
  const requestedProviders = [...request.providers];
  const list = requestedProviders.join(", ");
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(request.model, toSessionOptions(request));
  } catch (error) {
    // A file that no provider takes is the model's fault, and says so.
    await (await openOnCpu(request)).session.release();
    throw new AcceleratorFailure(`${list} is required and failed: ${toMessage(error)}`, { cause: error });
  }
  const warm = await runOnZeros(session).catch((error: unknown) => toMessage(error));
  if (warm !== undefined && (await runsOnCpu(request))) {
    await session.release();
    throw new AcceleratorFailure(`${list} is required and failed: ${warm}`);
  }
  const [only] = requestedProviders;
  const shares = requestedProviders.length === 1 && only !== undefined ? { [only]: 1 } : null;
  const placement = { requestedProviders, shares, proof: "created with the fallback to cpu forbidden" };
  return { session, placement, bearsZeros: warm === undefined };
}

/** A session that may use the cpu too tells by its profile where its nodes ran. @throws when the accelerator fails */
async function openProfiled(request: SessionRequest): Promise<Opened> {
  using profiles = new ProfileFolder(request.profileFolder);
  const profiling = { enableProfiling: true, profileFilePrefix: profiles.prefix };
  const session = await InferenceSession.create(request.model, { ...toSessionOptions(request), ...profiling });
  const requestedProviders = [...request.providers];
  try {
    const shares = await measureShares(session, profiles);
    const proof = shares === null ? "the profile of the warm-up run names no node" : "profiled warm-up run";
    return { session, placement: { requestedProviders, shares, proof }, bearsZeros: true };
  } catch (error) {
    await session.release();
    if (await runsOnCpu(request)) throw error;
    // The model does not bear made-up inputs, so nothing is said about the accelerator.
    const proof = `no proof: the warm-up run failed: ${toMessage(error)}`.slice(0, 500);
    const unprofiled = await InferenceSession.create(request.model, toSessionOptions(request));
    return { session: unprofiled, placement: { requestedProviders, shares: null, proof }, bearsZeros: false };
  }
}

async function runsOnCpu(request: SessionRequest): Promise<boolean> {
  const { session } = await openOnCpu(request);
  try {
    await runOnZeros(session);
    return true;
  } catch {
    return false;
  } finally {
    await session.release();
  }
}

function toSessionOptions({
  providers,
  threads,
}: Pick<SessionRequest, "providers" | "threads">): InferenceSession.SessionOptions {
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
        ...(providers.includes("cpu") ? {} : { disable_cpu_ep_fallback: "1" }),
      },
    },
  };
}

function toSpec(metadata: InferenceSession.ValueMetadata): TensorSpec | string {
  if (!metadata.isTensor) return `'${metadata.name}' is not a tensor`;
  const datatype = datatypeOf[metadata.type];
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
  const type = ortTypeOf.get(tensor.datatype);
  if (type === undefined) throw new Error(`no tensor type for ${tensor.datatype}`);
  const feed = new OrtTensor(type, tensor.data as OrtTensor.DataType, tensor.shape);
  // The constructor turns 16-bit patterns into a Float16Array, which the native part of 1.30 reads as empty.
  if (type === "float16") Object.defineProperty(feed, "data", { value: tensor.data });
  return feed;
}

function fromOrt(name: string, tensor: OrtTensor): Tensor {
  const datatype = datatypeOf[tensor.type];
  if (datatype === undefined) throw new Error(`output '${name}' has the type ${tensor.type}`);
  if (tensor.type === "string")
    return { name, datatype, shape: tensor.dims, data: encodeStrings(tensor.data as unknown as string[]) };
  let data = tensor.data as TensorData;
  if (datatype === "FP16") data = new Uint16Array(data.buffer, data.byteOffset, data.length);
  return { name, datatype, shape: tensor.dims, data };
}

function collectOutputs(owned: Session, results: InferenceSession.OnnxValueMapType): Tensor[] {
  return owned.outputs.map((spec) => {
    const result = results[spec.name];
    if (result === undefined) throw new Error(`the run gave no output '${spec.name}'`);
    return fromOrt(spec.name, result as OrtTensor);
  });
}

/** The runtime's messages end in line breaks, and some hold them. */
function toMessage(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.slice(0, 4_000).replaceAll(/\s+/gu, " ").trim().slice(0, 2_000);
}

/** Smaller memory is cheaper to allocate than to send back. */
const minReleasedBytes = 65_536;

function toReleased(inputs: readonly Tensor[], outputs: readonly Tensor[]): ArrayBuffer[] {
  // What a process was sent is a copy: to send it back would cost more than new memory does there.
  if (isMainThread) return [];
  const released = new Set<ArrayBuffer>();
  for (const { data } of inputs) {
    const { buffer } = data;
    const aliased = outputs.some((output) => output.data.buffer === buffer);
    if (buffer instanceof ArrayBuffer && buffer.byteLength >= minReleasedBytes && !aliased) released.add(buffer);
  }
  return [...released];
}

/** A run that fails costs at most one more per this time. */
const probeEveryMs = 1_000;

/**
 * Whether a failed run means that the accelerator is gone. Drivers say so in words of their own, or in none (one that has no
 * memory left calls its buffers invalid), so the run on zeros that succeeded at load is the judge: it has no bad input.
 */
function createJudge({ session, accelerated, bearsZeros }: Session): (message: string) => Promise<boolean> {
  let probedMs = Number.NEGATIVE_INFINITY;
  let lost = false;
  return async (message) => {
    if (!accelerated || lost) return lost;
    lost = isDeviceLost(message);
    if (lost || !bearsZeros || performance.now() - probedMs < probeEveryMs) return lost;
    probedMs = performance.now();
    try {
      await runOnZeros(session, runOptions);
    } catch {
      lost = true;
    }
    return lost;
  };
}

/** Longest time that a finished answer waits for its neighbours before they are sent together. */
const maxHoldMs = 0.2;

/**
 * Runs of one batch all start at once: the runtime queues them and executes them one after the other, without a turn of
 * the event loop between them. Answers of tiny models travel together, since a message costs as much as such a run.
 */
function createRunner(owned: Session): (runs: readonly RunRequest[]) => void {
  let results: RunResponse[] = [];
  let heldSinceMs = 0;
  let running = 0;
  let lastEndMs = 0;
  const isLost = createJudge(owned);

  const flush = () => {
    const transfer = new Set<ArrayBuffer>();
    for (const result of results) {
      for (const buffer of result.released) transfer.add(buffer);
      for (const { data } of result.kind === "done" ? result.outputs : []) {
        const { buffer } = data;
        if (buffer instanceof ArrayBuffer && buffer.byteLength > 0 && !isMarkedAsUntransferable(buffer))
          transfer.add(buffer);
      }
    }
    post({ kind: "ran", results }, [...transfer]);
    results = [];
  };

  const run = async ({ sequence, inputs }: RunRequest) => {
    const startedMs = performance.now();
    let response: RunResponse;
    try {
      const feeds: Record<string, OrtTensor> = {};
      for (const input of inputs) feeds[input.name] = toFeed(input);
      const outputs = collectOutputs(owned, await owned.session.run(feeds, runOptions));
      // Runs do not overlap on this thread: this one began when it was asked for or when the one before it ended.
      const runUs = (performance.now() - Math.max(startedMs, lastEndMs)) * 1_000;
      response = { kind: "done", sequence, outputs, runUs, released: toReleased(inputs, outputs) };
    } catch (error) {
      const message = toMessage(error);
      const lost = await isLost(message);
      response = { kind: "failed", sequence, message, lost, released: toReleased(inputs, []) };
    }
    lastEndMs = performance.now();
    running -= 1;
    if (results.length === 0) heldSinceMs = lastEndMs;
    results.push(response);
    if (running === 0 || lastEndMs - heldSinceMs > maxHoldMs) flush();
  };

  return (runs) => {
    running += runs.length;
    for (const request of runs) void run(request);
  };
}

function serve(): void {
  env.logLevel = "fatal";
  let owned: Session | null = null;
  let run: ((runs: readonly RunRequest[]) => void) | null = null;
  const start = async (request: Extract<WorkerRequest, { kind: "load" }>) => {
    owned = await load(request);
    if (owned !== null) run = createRunner(owned);
  };
  const close = async () => {
    await owned?.session.release();
    if (isMainThread) process.exit(0);
    else parentPort?.close();
  };
  const accept = (request: WorkerRequest) => {
    if (request.kind === "run") run?.(request.runs);
    else if (request.kind === "offers") post({ kind: "offers", providers: listOffered() });
    else void (request.kind === "load" ? start(request) : close());
  };
  if (!isMainThread) parentPort?.on("message", accept);
  else {
    process.on("message", accept);
    process.on("disconnect", () => process.exit(0));
  }
}

serve();
