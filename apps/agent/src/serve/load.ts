import {
  AnswerMemo,
  RequestMemo,
  type DeviceScheduler,
  type ModelSettings,
  type Placement,
  type ScheduledModel,
  type ScheduledResult,
  type TargetModel,
  type Tensor,
} from "@fairlead/inference";
import { hasErrorCode, toErrorCode } from "@fairlead/kernel";
import { SlotAccumulator, type ShadowCounts } from "@fairlead/telemetry";
import type { BodyMemory } from "./body-memory.ts";
import type { InflightMark } from "./inflight.ts";
import type { InferPriority, LoadRequest, LoadStatistics, SlotErrorKind } from "./ipc.ts";
import type { LoadedInstances } from "./loaded-instances.ts";
import { RequestStatistics } from "./request-statistics.ts";

export interface LoadParts {
  readonly request: LoadRequest;
  readonly instances: LoadedInstances;
  readonly settings: ModelSettings;
  readonly scheduler: DeviceScheduler;
  readonly mark: InflightMark;
  /** What loading it has taken, as measured. */
  readonly memoryBytes: number;
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
  /** Whether its client has the endpoint to itself. */
  readonly alone: boolean;
  /** Told how to take the request out of the line again. */
  readonly onQueued?: (withdraw: () => void) => void;
}

/** A build that is in memory: its model, its place in the in-flight file and what was counted about it. */
export class Load {
  readonly loadId: string;
  readonly slot: string;
  readonly version: string;
  readonly digest: string;
  readonly classification: LoadRequest["classification"];
  readonly classificationOutput: string | null;
  readonly accumulator: SlotAccumulator;
  readonly statistics = new RequestStatistics();
  readonly requestMemo = new RequestMemo();
  readonly answerMemo = new AnswerMemo();
  readonly target: TargetModel;
  /** How it compares with the active build while it runs as a shadow; null while it does not. */
  comparison: ShadowCounts | null = null;
  /** Where it runs now. */
  placement: Placement;
  readonly settings: ModelSettings;
  readonly request: LoadRequest;
  readonly memoryBytes: number;
  readonly #parts: LoadParts;
  readonly #scheduled: ScheduledModel;
  #instances: LoadedInstances;
  #lastUsedMs = performance.now();
  #hung = false;

  constructor(parts: LoadParts) {
    const { request, instances, mark } = parts;
    const settings = instances.mayJoin ? parts.settings : { ...parts.settings, maxBatchSize: 1 };
    const [model] = instances.models;
    this.#parts = parts;
    this.#instances = instances;
    this.request = request;
    this.loadId = request.loadId;
    this.slot = request.slot;
    this.version = request.version;
    this.digest = request.digest;
    this.classification = request.classification;
    this.classificationOutput = request.classification?.output ?? null;
    this.target = { name: request.model, inputs: model.inputs, outputs: model.outputs };
    this.placement = instances.placement;
    this.settings = settings;
    this.memoryBytes = parts.memoryBytes;
    this.accumulator = new SlotAccumulator({
      slot: request.slot,
      model: request.model,
      version: request.version,
      buildDigest: request.digest,
      classifying: request.classification !== null,
    });
    this.#scheduled = parts.scheduler.open({
      id: request.loadId,
      slot: request.slot,
      name: request.model,
      settings,
      instances: instances.models,
      deadlineMs: request.deadlineMs,
      onBusy: (busy) => {
        // A run that passed its deadline still runs: its mark stays, and names it when the process is killed.
        if (busy || !this.#hung) mark.set(busy ? "running" : null);
      },
      onRunFailed: (error, sinceMs) => this.#onRunFailed(error, sinceMs),
    });
  }

  get instances(): LoadedInstances {
    return this.#instances;
  }

  /** Runs that begin from now on use these. @returns what it had, to be closed: runs in progress end there */
  replace(instances: LoadedInstances): LoadedInstances {
    const before = this.#instances;
    this.#instances = instances;
    this.#scheduled.replace(instances.models);
    return before;
  }

  get hung(): boolean {
    return this.#hung;
  }

  /** Requests that wait or run. */
  get pending(): number {
    return this.#scheduled.pending;
  }

  /** Monotonic milliseconds. */
  get lastUsedMs(): number {
    return this.#lastUsedMs;
  }

  /** Runs the model; the tensors are consumed. Rejects with RuntimeError or SchedulerError. */
  infer(inputs: readonly Tensor[], { memory, ...ask }: InferAsk): Promise<ScheduledResult> {
    this.#lastUsedMs = performance.now();
    const onReleased = memory === null ? null : (buffer: ArrayBuffer) => memory.give(buffer);
    return this.#scheduled.infer(inputs, { ...ask, onReleased });
  }

  #onRunFailed(error: unknown, sinceMs: number): void {
    if (!hasErrorCode(error, "inference_deadline") || this.#hung) return;
    // Its own server was ended for it and starts again: nothing of this process is stuck.
    if (this.#instances.models.every((model) => model.recovers === true)) return;
    this.#hung = true;
    this.#parts.onHung(sinceMs);
  }

  recordFailure(error: unknown, timeUs: number): void {
    this.accumulator.recordError(toErrorKind(error));
    this.statistics.recordFailure(timeUs);
  }

  takeStatistics(): LoadStatistics {
    const shadow = this.comparison?.take();
    return { ...this.accumulator.take(), loadId: this.loadId, ...(shadow === undefined ? {} : { shadow }) };
  }

  /** Waits for what waits and runs, then frees the model. */
  async close(): Promise<void> {
    await this.#scheduled.close();
    await this.#instances.close();
    this.#parts.mark.release();
  }
}

/** Which of the telemetry's error kinds an error is; what nobody planned for is the runtime's. */
export function toErrorKind(error: unknown): SlotErrorKind {
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
    case "accelerator_lost":
      return "crash";
    case "request_invalid":
    case "policy_refused":
    case "body_too_large":
    case "request_malformed":
    case "request_too_large":
    case "not_supported":
    case "input_invalid":
      return "input";
    default:
      return "runtime";
  }
}
