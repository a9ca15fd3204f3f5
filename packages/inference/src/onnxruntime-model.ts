import { isMarkedAsUntransferable } from "node:worker_threads";
import { checkInputs } from "./check-inputs.ts";
import type { ExclusiveDevice } from "./exclusive-device.ts";
import { maxInlineMs, type InlineLane } from "./inline/inline-lane.ts";
import { toShapes } from "./inline/inline-plan.ts";
import type { SessionHome } from "./onnxruntime-home.ts";
import type { RunRequest, RunResponse, WorkerResponse } from "./onnxruntime-messages.ts";
import type { InferOptions, InferResult, LoadedModel, Placement } from "./port.ts";
import { toMessage, toReleased } from "./run-leftovers.ts";
import { RuntimeError } from "./runtime-error.ts";
import type { Tensor, TensorSpec } from "./tensor.ts";

/** A run that waits for its device is looked at this often. */
const maxWatchMs = 1_000;

interface PendingRun {
  readonly deadlineMs: number;
  /** When the run became the first in line; runs are answered in order. */
  startedMs: number;
  readonly onReleased: ((buffer: ArrayBuffer) => void) | undefined;
  readonly onDone: ((result: InferResult) => void) | null;
  readonly resolve: (result: InferResult) => void;
  readonly reject: (error: RuntimeError) => void;
}

export interface OnnxRuntimeModelParts {
  readonly home: SessionHome;
  readonly loaded: Extract<WorkerResponse, { kind: "loaded" }>;
  /** What only one session may use at a time; null when nothing has to be waited for. */
  readonly device: ExclusiveDevice | null;
  /** Where lone runs may take place instead; null where they may not. */
  readonly inline: InlineLane | null;
  /** Called once, when the accelerator is gone. */
  readonly onLost: (reason: string) => void;
  readonly onEnd: () => void;
}

export class OnnxRuntimeModel implements LoadedModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly placement: Placement;
  /** A process can be ended with its run, and whoever owns the model loads it again elsewhere. */
  readonly recovers: boolean;
  readonly #home: SessionHome;
  readonly #onLost: (reason: string) => void;
  readonly #onGone: () => void;
  readonly #pending = new Map<number, PendingRun>();
  readonly #device: ExclusiveDevice | null;
  readonly #inline: InlineLane | null;
  /** Gives the device back; null while this model does not hold it. */
  #giveBack: (() => void) | null = null;
  #asking = false;
  /** Runs that were sent and have no answer, those included whose deadline passed: they still use the device. */
  #sent = 0;
  #inlineRuns = 0;
  #outbox: RunRequest[] = [];
  #sequence = 0;
  #state: "open" | "lost" | "closing" | "hung" | "ended" = "open";
  #lostReason: string | null = null;
  #watch: NodeJS.Timeout | null = null;
  #onIdle: (() => void) | null = null;
  #onEnded: (() => void) | null = null;

  constructor({ home, loaded, device, inline, onLost, onEnd }: OnnxRuntimeModelParts) {
    this.#device = device;
    this.#inline = inline;
    this.#home = home;
    this.#onLost = onLost;
    this.#onGone = onEnd;
    this.recovers = home.kind === "process";
    this.inputs = loaded.inputs;
    this.outputs = loaded.outputs;
    this.placement = loaded.placement;
    home.onMessage = (response) => this.#onResponse(response);
    home.onEnd = (cause) => this.#onEnd(cause);
  }

  get pending(): number {
    return this.#pending.size + this.#inlineRuns;
  }

  infer(inputs: readonly Tensor[], options: InferOptions): Promise<InferResult> {
    return new Promise((resolve, reject) => {
      if (this.#state !== "open") throw this.#refusal();
      checkInputs("this model", this.inputs, inputs);
      const sequence = this.#sequence;
      this.#sequence += 1;
      const lone = this.pending === 0;
      let onDone: ((result: InferResult) => void) | null = null;
      if (lone && this.#inline !== null && options.alone === true && options.deadlineMs >= maxInlineMs) {
        const lane = this.#inline;
        const shapes = toShapes(inputs);
        // The run ends before the deadline can pass: the lane's guard sees to that.
        if (lane.takes(shapes)) return void this.#runInline(lane, { inputs, shapes }, { options, resolve, reject });
        onDone = (result) => lane.noteElsewhere(shapes, result.runUs);
      }
      if (!lone && this.#outbox.length === 0) setImmediate(() => this.#flush());
      this.#outbox.push({ sequence, inputs });
      const { deadlineMs, onReleased } = options;
      // A run that still waits for the device has not begun.
      const startedMs = this.#device === null ? performance.now() : Number.POSITIVE_INFINITY;
      this.#pending.set(sequence, { deadlineMs, onReleased, startedMs, onDone, resolve, reject });
      if (lone) this.#flush();
      if (this.#watch === null) this.#armWatch(options.deadlineMs);
    });
  }

  async #runInline(
    lane: InlineLane,
    { inputs, shapes }: { readonly inputs: readonly Tensor[]; readonly shapes: string },
    run: { readonly options: InferOptions } & Pick<PendingRun, "resolve" | "reject">,
  ): Promise<void> {
    this.#inlineRuns += 1;
    try {
      const result = await lane.run(inputs, shapes);
      for (const buffer of toReleased(inputs, result.outputs)) run.options.onReleased?.(buffer);
      run.resolve(result);
    } catch (error) {
      for (const buffer of toReleased(inputs, [])) run.options.onReleased?.(buffer);
      run.reject(new RuntimeError("inference_failed", toMessage(error)));
    }
    this.#inlineRuns -= 1;
    this.#checkIdle();
  }

  async close(): Promise<void> {
    // A process that was ended for its run is about to be gone.
    if (this.#state === "hung" && this.#home.kind === "process")
      await new Promise<void>((ended) => (this.#onEnded = ended));
    if (this.#stateNow() === "ended") return;
    if (this.#state !== "open" && this.#state !== "lost") throw this.#refusal();
    this.#state = "closing";
    if (this.pending > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve));
    await this.#inline?.close();
    if (this.#watch !== null) clearTimeout(this.#watch);
    if (this.#stateNow() === "ended") return;
    if (this.#stateNow() !== "closing") throw this.#refusal();
    const giveBack = await this.#device?.acquire();
    const ended = new Promise<void>((resolve) => (this.#onEnded = resolve));
    if (this.#stateNow() !== "ended") {
      this.#home.post({ kind: "close" }, []);
      await ended;
    }
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
      this.#home.post({ kind: "run", runs }, toTransferList(runs));
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
    if (this.#lostReason !== null) return new RuntimeError("accelerator_lost", this.#lostReason);
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
    if (result.kind === "done") {
      const done = { outputs: result.outputs, runUs: result.runUs };
      run.onDone?.(done);
      run.resolve(done);
    } else {
      run.reject(new RuntimeError(result.lost ? "accelerator_lost" : "inference_failed", result.message));
      if (result.lost) this.lose(result.message);
    }
  }

  /** No later run can succeed. */
  lose(reason: string): void {
    if (this.#lostReason !== null) return;
    this.#lostReason = reason;
    const closing = this.#state === "closing";
    if (this.#state === "open") this.#state = "lost";
    if (!closing) this.#onLost(reason);
  }

  #checkIdle(): void {
    if (this.pending > 0) return;
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
    if (this.#home.kind === "thread") return;
    this.lose(`a run took longer than ${first.deadlineMs} ms`);
    this.#home.end();
  }

  #onEnd(cause: Error): void {
    if (this.#state === "ended") return;
    if (this.#home.kind === "process" && this.#state !== "closing") this.lose(`its process ended (${cause.message})`);
    this.#state = "ended";
    this.#onGone();
    this.#onEnded?.();
    for (const run of this.#pending.values()) {
      const what = `the runtime's ${this.#home.kind} ended during the run`;
      const code = this.#lostReason === null ? "runtime_crashed" : "accelerator_lost";
      run.reject(new RuntimeError(code, what, cause));
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
export function isTransferable(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && buffer.byteLength > 0 && !isMarkedAsUntransferable(buffer);
}
