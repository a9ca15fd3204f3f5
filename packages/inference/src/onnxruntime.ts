import { isMarkedAsUntransferable, Worker } from "node:worker_threads";
import { checkInputs } from "./check-inputs.ts";
import { ExclusiveDevice } from "./exclusive-device.ts";
import type { RunRequest, RunResponse, WorkerRequest, WorkerResponse } from "./onnxruntime-messages.ts";
import type { InferenceRuntime, InferOptions, InferResult, LoadedModel, LoadOptions, Placement } from "./port.ts";
import { RuntimeError } from "./runtime-error.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

export interface OnnxRuntimeOptions {
  /** The thread's entry. A bundled application emits onnxruntime-worker.js and names it here. */
  readonly workerUrl?: URL;
}

/** ONNX Runtime: one thread per loaded model. */
export function createOnnxRuntime(options: OnnxRuntimeOptions = {}): InferenceRuntime {
  const workerUrl = options.workerUrl ?? new URL("./onnxruntime-worker.ts", import.meta.url);
  const webgpu = new ExclusiveDevice();
  return {
    name: "onnxruntime",
    load: async (model, loadOptions = {}) => {
      if (!(loadOptions.providers ?? ["cpu"]).includes("webgpu")) return await loadModel(workerUrl, model, loadOptions);
      const release = await webgpu.acquire();
      try {
        return await loadModel(workerUrl, model, { ...loadOptions, device: webgpu });
      } finally {
        release();
      }
    },
  };
}

interface ThreadOptions extends LoadOptions {
  /** What only one session may use at a time: two at once on WebGPU take the process down. */
  readonly device?: ExclusiveDevice;
}

async function loadModel(workerUrl: URL, model: Uint8Array<ArrayBuffer>, options: ThreadOptions): Promise<LoadedModel> {
  const worker = new Worker(workerUrl, {
    name: "onnxruntime",
    execArgv: [],
    stdin: false,
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  const request: WorkerRequest = {
    kind: "load",
    model,
    providers: options.providers ?? ["cpu"],
    threads: options.threads ?? 1,
    background: options.background ?? false,
  };
  const loaded = waitForLoad(worker, options.loadDeadlineMs ?? 60_000);
  worker.postMessage(request, isTransferable(model.buffer) ? [model.buffer] : []);
  const response = await loaded;
  if (response.kind === "loaded") return new OnnxRuntimeModel(worker, response, options.device ?? null);
  worker.postMessage({ kind: "close" } satisfies WorkerRequest);
  if (response.kind === "load-failed") throw new RuntimeError(response.code, response.message);
  throw new RuntimeError("runtime_crashed", `the thread answered ${response.kind} to a load`);
}

function waitForLoad(worker: Worker, deadlineMs: number): Promise<WorkerResponse> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      settle();
      reject(new RuntimeError("inference_deadline", `loading took longer than ${deadlineMs} ms`));
    }, deadlineMs);
    const onMessage = (response: WorkerResponse) => {
      settle();
      resolve(response);
    };
    const onError = (error: unknown) => {
      settle();
      reject(new RuntimeError("runtime_crashed", "the thread failed while it loaded the model", error));
    };
    const onExit = (code: number) => onError(new Error(`exit ${code}`));
    const settle = () => {
      clearTimeout(timer);
      worker.off("message", onMessage).off("error", onError).off("exit", onExit);
      // A thread that fails after its load was given up must not take the process down unexplained.
      worker.on("error", () => undefined);
    };
    worker.on("message", onMessage).on("error", onError).on("exit", onExit);
  });
}

/** A run that waits for its device is looked at this often. */
const maxWatchMs = 1_000;

interface PendingRun {
  readonly deadlineMs: number;
  /** When the run became the first in line; runs are answered in order. */
  startedMs: number;
  readonly onReleased: ((buffer: ArrayBuffer) => void) | undefined;
  readonly resolve: (result: InferResult) => void;
  readonly reject: (error: RuntimeError) => void;
}

class OnnxRuntimeModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly placement: Placement;
  readonly #worker: Worker;
  readonly #pending = new Map<number, PendingRun>();
  readonly #device: ExclusiveDevice | null;
  /** Gives the device back; null while this model does not hold it. */
  #giveBack: (() => void) | null = null;
  #asking = false;
  /** Runs that were sent and have no answer, those included whose deadline passed: they still use the device. */
  #sent = 0;
  #outbox: RunRequest[] = [];
  #sequence = 0;
  #state: "open" | "closing" | "hung" | "ended" = "open";
  #watch: NodeJS.Timeout | null = null;
  #onIdle: (() => void) | null = null;

  constructor(worker: Worker, loaded: Extract<WorkerResponse, { kind: "loaded" }>, device: ExclusiveDevice | null) {
    this.#device = device;
    this.#worker = worker;
    this.inputs = loaded.inputs;
    this.outputs = loaded.outputs;
    this.placement = loaded.placement;
    worker.on("message", (response: WorkerResponse) => this.#onResponse(response));
    worker.on("error", (error) => this.#onEnd(error));
    worker.on("exit", (code) => this.#onEnd(new Error(`exit ${code}`)));
  }

  get pending(): number {
    return this.#pending.size;
  }

  infer(inputs: readonly Tensor[], options: InferOptions): Promise<InferResult> {
    return new Promise((resolve, reject) => {
      if (this.#state !== "open") throw this.#refusal();
      checkInputs("this model", this.inputs, inputs);
      const sequence = this.#sequence;
      this.#sequence += 1;
      const lone = this.#pending.size === 0;
      if (!lone && this.#outbox.length === 0) setImmediate(() => this.#flush());
      this.#outbox.push({ sequence, inputs });
      const { deadlineMs, onReleased } = options;
      // A run that still waits for the device has not begun.
      const startedMs = this.#device === null ? performance.now() : Number.POSITIVE_INFINITY;
      this.#pending.set(sequence, { deadlineMs, onReleased, startedMs, resolve, reject });
      if (lone) this.#flush();
      if (this.#watch === null) this.#armWatch(options.deadlineMs);
    });
  }

  async close(): Promise<void> {
    if (this.#state === "ended") return;
    if (this.#state !== "open") throw this.#refusal();
    this.#state = "closing";
    if (this.#pending.size > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    if (this.#watch !== null) clearTimeout(this.#watch);
    if (this.#stateNow() !== "closing") throw this.#refusal();
    const giveBack = await this.#device?.acquire();
    const exited = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve()));
    this.#worker.postMessage({ kind: "close" } satisfies WorkerRequest);
    await exited;
    giveBack?.();
  }

  /** The state may change while `close` waits; the compiler does not see that. */
  #stateNow(): string {
    return this.#state;
  }

  /** Requests that arrived in the same turn of the event loop travel in one message; a lone one does not wait for company. */
  #flush(): void {
    if (this.#device === null) return this.#send();
    if (this.#asking || this.#giveBack !== null) return;
    this.#asking = true;
    void this.#device.acquire().then((giveBack) => {
      this.#asking = false;
      this.#giveBack = giveBack;
      const startedMs = performance.now();
      for (const run of this.#pending.values()) run.startedMs = startedMs;
      this.#send();
      this.#checkDevice();
    });
  }

  /** Gives the device back when nothing of this model runs on it, and asks again when more has come meanwhile. */
  #checkDevice(): void {
    if (this.#giveBack === null || (this.#sent > 0 && this.#state !== "ended")) return;
    this.#giveBack();
    this.#giveBack = null;
    if (this.#outbox.length > 0 && this.#state !== "ended") this.#flush();
  }

  #send(): void {
    const runs = this.#outbox;
    this.#outbox = [];
    if (this.#state === "ended") return;
    try {
      this.#worker.postMessage({ kind: "run", runs } satisfies WorkerRequest, toTransferList(runs));
      this.#sent += runs.length;
    } catch (error) {
      // Memory that is already gone, for instance two runs that were given the same: none of the batch was sent.
      const message = "the inputs cannot move to the runtime's thread";
      for (const { sequence } of runs) {
        this.#pending.get(sequence)?.reject(new RuntimeError("inference_failed", message, error));
        this.#pending.delete(sequence);
      }
      this.#checkIdle();
    }
  }

  #refusal(): RuntimeError {
    if (this.#state === "hung") return new RuntimeError("model_hung", "an earlier run passed its deadline");
    return new RuntimeError("model_closed", "the model is closed");
  }

  #onResponse(response: WorkerResponse): void {
    if (response.kind !== "ran") return;
    for (const result of response.results) this.#settle(result);
    this.#sent -= response.results.length;
    this.#checkDevice();
    const next = this.#first();
    if (next !== undefined && next.startedMs !== Number.POSITIVE_INFINITY) next.startedMs = performance.now();
    this.#checkIdle();
  }

  #settle(result: RunResponse): void {
    const run = this.#pending.get(result.sequence);
    if (run === undefined) return; // answered already: its deadline had passed
    this.#pending.delete(result.sequence);
    for (const buffer of result.released) run.onReleased?.(buffer);
    if (result.kind === "done") run.resolve({ outputs: result.outputs, runUs: result.runUs });
    else run.reject(new RuntimeError("inference_failed", result.message));
  }

  #checkIdle(): void {
    if (this.#pending.size > 0) return;
    this.#onIdle?.();
    this.#onIdle = null;
  }

  #first(): PendingRun | undefined {
    for (const run of this.#pending.values()) return run;
    return undefined;
  }

  /** One timer per model, looked at when it fires: most runs end long before, and a timer per run would cost more. */
  #armWatch(delayMs: number): void {
    this.#watch = setTimeout(() => this.#checkDeadline(), Math.min(Math.max(1, delayMs), maxWatchMs)).unref();
  }

  #checkDeadline(): void {
    this.#watch = null;
    const first = this.#first();
    if (first === undefined) return;
    const leftMs = first.startedMs + first.deadlineMs - performance.now();
    if (leftMs > 0) {
      this.#armWatch(Math.ceil(leftMs));
      return;
    }
    this.#state = "hung";
    const runs = [...this.#pending.values()];
    this.#pending.clear();
    this.#outbox = [];
    for (const run of runs) {
      run.reject(
        run === first
          ? new RuntimeError("inference_deadline", `the run took longer than ${run.deadlineMs} ms`)
          : new RuntimeError("model_hung", "an earlier run passed its deadline"),
      );
    }
    this.#checkIdle();
  }

  #onEnd(cause: unknown): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    for (const run of this.#pending.values()) {
      run.reject(new RuntimeError("runtime_crashed", "the runtime's thread ended during the run", cause));
    }
    this.#pending.clear();
    this.#checkDevice();
    this.#checkIdle();
  }
}

function toTransferList(runs: readonly RunRequest[]): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>();
  for (const { inputs } of runs) {
    for (const { data } of inputs) {
      if (data.buffer instanceof ArrayBuffer && isTransferable(data.buffer)) buffers.add(data.buffer);
    }
  }
  return [...buffers];
}

/** Node's pooled buffers are shared by strangers and must be copied. */
function isTransferable(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && buffer.byteLength > 0 && !isMarkedAsUntransferable(buffer);
}
