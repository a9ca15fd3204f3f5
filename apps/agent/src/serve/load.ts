import type { InferResult, LoadedModel, Placement, TargetModel, Tensor } from "@fairlead/inference";
import { hasErrorCode, toErrorCode } from "@fairlead/kernel";
import { SlotAccumulator } from "@fairlead/telemetry";
import type { BodyMemory } from "./body-memory.ts";
import type { InflightMark } from "./inflight.ts";
import type { InferPriority, LoadRequest, LoadStatistics, SlotErrorKind } from "./ipc.ts";
import { RequestStatistics } from "./request-statistics.ts";
import { ServeError } from "./serving-error.ts";

export interface LoadParts {
  readonly request: LoadRequest;
  readonly model: LoadedModel;
  readonly mark: InflightMark;
  readonly maxQueue: number;
  /** Called once, when a run passes its deadline. */
  readonly onHung: (sinceMs: number) => void;
}

/** What a request says about itself. */
export interface InferAsk {
  /** Takes the memory of large inputs back; null when they were not taken from it. */
  readonly memory: BodyMemory | null;
  readonly priority: InferPriority;
  /** How long the request may wait before its run begins; null for as long as it takes. */
  readonly timeoutMs: number | null;
  /** Whose share of the slot it uses; null for that of all who give no name. */
  readonly client: string | null;
}

export interface LoadInferResult extends InferResult {
  /** This request's part of the run's time: by rows, when requests were joined. */
  readonly shareUs: number;
  /** From asking to the beginning of the run. */
  readonly queueUs: number;
  /** Rows of the run, those of others included. */
  readonly batchRows: number;
  /** True for one request of each run, so that runs can be counted. */
  readonly leads: boolean;
}

/** A build that is in memory: its model, its place in the in-flight file and what was counted about it. */
export class Load {
  readonly loadId: string;
  readonly slot: string;
  readonly version: string;
  readonly digest: string;
  readonly classificationOutput: string | null;
  readonly accumulator: SlotAccumulator;
  readonly statistics = new RequestStatistics();
  readonly target: TargetModel;
  readonly placement: Placement;
  readonly #parts: LoadParts;
  #hung = false;

  constructor(parts: LoadParts) {
    const { request, model } = parts;
    this.#parts = parts;
    this.loadId = request.loadId;
    this.slot = request.slot;
    this.version = request.version;
    this.digest = request.digest;
    this.classificationOutput = request.classification?.output ?? null;
    this.target = { name: request.model, inputs: model.inputs, outputs: model.outputs };
    this.placement = model.placement;
    this.accumulator = new SlotAccumulator({
      slot: request.slot,
      model: request.model,
      version: request.version,
      buildDigest: request.digest,
      classifying: request.classification !== null,
    });
  }

  get hung(): boolean {
    return this.#hung;
  }

  get pending(): number {
    return this.#parts.model.pending;
  }

  /** Runs the model; the tensors are consumed. Rejects with RuntimeError, or `overloaded`, `quota_exceeded`, `deadline_expired`. */
  async infer(inputs: readonly Tensor[], { memory }: InferAsk): Promise<LoadInferResult> {
    const { model, mark, maxQueue, request } = this.#parts;
    if (model.pending >= maxQueue) {
      throw new ServeError("overloaded", `model '${request.model}' has ${maxQueue} requests in flight`);
    }
    const startedMs = performance.now();
    if (model.pending === 0) mark.set("running");
    try {
      const { deadlineMs } = request;
      const onReleased = memory === null ? {} : { onReleased: (buffer: ArrayBuffer) => memory.give(buffer) };
      const result = await model.infer(inputs, { deadlineMs, ...onReleased });
      const queueUs = (performance.now() - startedMs) * 1_000 - result.runUs;
      return { ...result, shareUs: result.runUs, queueUs, batchRows: inputs[0]?.shape[0] ?? 1, leads: true };
    } catch (error) {
      if (hasErrorCode(error, "inference_deadline") && !this.#hung) {
        this.#hung = true;
        this.#parts.onHung(performance.now() - startedMs);
      }
      throw error;
    } finally {
      // A run that passed its deadline still runs: its mark stays, and names it when the process is killed.
      if (model.pending === 0 && !this.#hung) mark.set(null);
    }
  }

  recordFailure(error: unknown, timeUs: number): void {
    this.accumulator.recordError(toErrorKind(error));
    this.statistics.recordFailure(timeUs);
  }

  takeStatistics(): LoadStatistics {
    return { ...this.accumulator.take(), loadId: this.loadId };
  }

  async close(): Promise<void> {
    await this.#parts.model.close();
    this.#parts.mark.release();
  }
}

/** Which of the telemetry's error kinds an error is; what nobody planned for is the runtime's. */
function toErrorKind(error: unknown): SlotErrorKind {
  switch (toErrorCode(error)) {
    case "inference_deadline":
      return "deadline";
    case "model_stopped":
    case "model_closed":
      return "stopped";
    case "overloaded":
    case "quota_exceeded":
    case "deadline_expired":
      return "overloaded";
    case "model_hung":
    case "runtime_crashed":
      return "crash";
    case "request_malformed":
    case "request_too_large":
    case "not_supported":
    case "input_invalid":
      return "input";
    default:
      return "runtime";
  }
}
