import { isMainThread, isMarkedAsUntransferable, parentPort } from "node:worker_threads";
import { env, InferenceSession, listSupportedBackends } from "onnxruntime-node";
import { goToBackground } from "./background-priority.ts";
import { watchInlineRuns } from "./inline/inline-guard.ts";
import type { RunRequest, RunResponse, WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import { isDeviceLost } from "./placement/device-lost.ts";
import { measureShares, ProfileFolder, runOnZeros } from "./placement/warm-up.ts";
import type { Placement } from "./port.ts";
import { runOptions, runSession, toSessionOptions, toSpec } from "./onnxruntime-session.ts";
import { toMessage, toReleased } from "./run-leftovers.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

/*
 * The thread, or the process, that owns one session. `session.run` blocks it for the whole inference, and nothing can
 * interrupt it: terminating a thread inside `run` aborts its process, so a thread only ever ends by itself, when it is idle.
 */

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

const listOffered = (): string[] => listSupportedBackends().map((backend) => backend.name);

async function load(request: Extract<WorkerRequest, { kind: "load" }>): Promise<Session | null> {
  const { providers } = request;
  if (request.background) await goToBackground();
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

/** What a process was sent is a copy: to send it back would cost more than new memory does there. */
function toBack(inputs: readonly Tensor[], outputs: readonly Tensor[]): ArrayBuffer[] {
  return isMainThread ? [] : toReleased(inputs, outputs);
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
      const outputs = await runSession(owned.session, owned.outputs, inputs);
      // Runs do not overlap on this thread: this one began when it was asked for or when the one before it ended.
      const runUs = (performance.now() - Math.max(startedMs, lastEndMs)) * 1_000;
      response = { kind: "done", sequence, outputs, runUs, released: toBack(inputs, outputs) };
    } catch (error) {
      const message = toMessage(error);
      const lost = await isLost(message);
      response = { kind: "failed", sequence, message, lost, released: toBack(inputs, []) };
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
    else if (request.kind === "guard") watchInlineRuns(request.runs, request.limitMs);
    else void (request.kind === "load" ? start(request) : close());
  };
  if (!isMainThread) parentPort?.on("message", accept);
  else {
    process.on("message", accept);
    process.on("disconnect", () => process.exit(0));
  }
}

serve();
