import type { InferResult, LoadedModel, Placement, TargetModel, Tensor } from "@fairlead/inference";
import { hasErrorCode, toErrorCode } from "@fairlead/kernel";
import { SlotAccumulator } from "@fairlead/telemetry";
import type { BodyMemory } from "./body-memory.ts";
import type { InflightMark } from "./inflight.ts";
import type { LoadRequest, LoadStatistics, SlotErrorKind } from "./ipc.ts";
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

  /** Runs the model; the tensors are consumed and their memory, when large, goes to `memory`. Rejects with RuntimeError, or `overloaded` when too many wait. */
  async infer(inputs: readonly Tensor[], memory: BodyMemory | null): Promise<InferResult> {
    const { model, mark, maxQueue, request } = this.#parts;
    if (model.pending >= maxQueue) {
      throw new ServeError("overloaded", `model '${request.model}' has ${maxQueue} requests in flight`);
    }
    const startedMs = performance.now();
    if (model.pending === 0) mark.set("running");
    try {
      const { deadlineMs } = request;
      if (memory === null) return await model.infer(inputs, { deadlineMs });
      return await model.infer(inputs, { deadlineMs, onReleased: (buffer) => memory.give(buffer) });
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
