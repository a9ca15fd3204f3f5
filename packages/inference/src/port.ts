import type { Tensor, TensorSpec } from "./tensor.ts";

export interface LoadOptions {
  /** Execution providers in order of preference. Default ["cpu"]. */
  readonly providers?: readonly string[];
  /** Threads of one run. Default 1. */
  readonly threads?: number;
  /** Runs at the system's lowest priority, where the system can: everything else on the device goes first. Default false. */
  readonly background?: boolean;
  /** Longest time that loading may take. Default 60,000. */
  readonly loadDeadlineMs?: number;
  /**
   * Whether the cpu stands in when the accelerator fails, given that it is among the providers. Default true; false
   * refuses such a load with `accelerator_failed`.
   */
  readonly standIn?: boolean;
  /** Told of what changes after the load. */
  readonly onPlacement?: (change: PlacementChange) => void;
  /** Which of several runtimes; absent for the one in this process. */
  readonly runtime?: string;
  /**
   * The same checked bytes once more. A runtime that is given it may open a second session on the thread of its caller, for
   * requests that say that they are alone (`InferOptions.alone`).
   */
  readonly again?: () => Promise<Uint8Array>;
}

/**
 * What is known about where the model runs. A request proves nothing: runtimes drop providers silently. Proofs are: a
 * session that was created with the fallback to the cpu forbidden, or the node times of a profiled warm-up run.
 */
export interface Placement {
  readonly requestedProviders: readonly string[];
  /** Share of node time per provider, 0..1, together 1; a provider that is absent ran nothing. Null: nothing proves it. */
  readonly shares: Readonly<Record<string, number>> | null;
  /** How it is known, or why it is not, or why another provider stands in; at most 500 characters. */
  readonly proof: string;
  /** The accelerator that failed, so that the cpu runs what was meant for it; absent when none did. */
  readonly failedProvider?: string;
}

/**
 * `lost`: the accelerator is gone, every run fails with `accelerator_lost` and the model is to be closed.
 * `proved`: the model was loaded anew, by its server for instance, and this is where it runs now.
 */
export type PlacementChange =
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "proved"; readonly placement: Placement };

export interface InferOptions {
  /** Counted from the moment at which the run starts, not from the moment at which it was asked for. */
  readonly deadlineMs: number;
  /** Offered the memory of inputs of 64 KiB and more once the run has read it, so that it can be filled again. */
  readonly onReleased?: (buffer: ArrayBuffer) => void;
  /**
   * Nobody else waits for this thread, and nobody has for a while: the run may take place on it, which spares the way to
   * another thread and back. Absent for no.
   */
  readonly alone?: boolean;
}

export interface InferResult {
  readonly outputs: readonly Tensor[];
  /** Time inside the runtime. */
  readonly runUs: number;
}

export interface LoadedModel {
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly placement: Placement;
  /** Runs that were asked for and have no answer yet. */
  readonly pending: number;
  /**
   * True when a run past its deadline is ended with the server that it ran in, which starts again and takes the model
   * back: nobody has to kill this process for it.
   */
  readonly recovers?: boolean;
  /**
   * Runs the model; runs on one model happen one after the other, in order.
   * The tensors are consumed: their memory moves to the runtime, do not touch it again.
   * Rejects with RuntimeError: `input_invalid`, `inference_failed`, `inference_deadline` (the run goes on and cannot be
   * stopped; from here on the model is hung), `model_hung`, `model_closed`, `runtime_crashed`, `accelerator_lost`.
   */
  infer(inputs: readonly Tensor[], options: InferOptions): Promise<InferResult>;
  /** Waits for pending runs, then frees the model. A hung model cannot be closed, unless it recovers: rejects with `model_hung`. */
  close(): Promise<void>;
}

/** One way to run models. */
export interface InferenceRuntime {
  readonly name: string;
  /**
   * Loads a model from its bytes, which are consumed. Rejects with RuntimeError: `model_load_failed`,
   * `provider_unknown`, `tensor_type_unsupported`, `accelerator_failed`, `inference_deadline`, `runtime_crashed`.
   */
  load(model: Uint8Array<ArrayBuffer>, options?: LoadOptions): Promise<LoadedModel>;
}
