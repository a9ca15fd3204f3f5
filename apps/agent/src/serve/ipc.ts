import type { StatedTensors } from "./require-contract.ts";
import type { ServingEvent } from "./serving-event.ts";
import type { OperatorPolicy } from "@fairlead/inference/inspect";
import type { SlotErrorKind, SlotWindow } from "@fairlead/protocol";

/*
 * Contract between the supervisor and the serving process: child_process.fork(main.ts, [JSON.stringify(config)],
 * { serialization: "advanced" }). One request has one response with the same id; events come unasked.
 * Every message is plain data that structured clone carries, so this file has types only and imports nothing at run time.
 */

export type ServingAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly socketPath: string };

/** A server that runs models for this process, as a process of its own. */
export interface SidecarConfig {
  readonly name: string;
  readonly command: readonly string[];
  readonly url: string;
  /** Absolute; where the process is noted while it lives. */
  readonly folder: string;
  readonly repository: string;
  readonly control: "explicit" | "poll" | "config-file";
  readonly tensors?: "auto" | "binary" | "json";
  readonly providers: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly readyTimeoutMs: number;
  readonly memoryLimitBytes: number | null;
}

/** A model that the supervisor is about to load into a slot. */
export interface ExpectedModel {
  readonly slot: string;
  readonly model: string;
  readonly version: string;
}

/** First command-line argument of the process, as JSON. Port 0 asks the system for a free port. */
export interface ServingConfig {
  readonly address: ServingAddress;
  /** File in which the process notes what runs right now; see `readInflightLoads` in inflight.ts. */
  readonly inflightPath: string;
  /** Default 67,108,864. Applies to the body as sent and to the body after decompression. */
  readonly maxBodyBytes?: number;
  /** Of all bodies that are in memory together. Default 268,435,456, and never more than a quarter of `memoryLimitBytes`. */
  readonly maxBodiesBytes?: number;
  /** Requests that may wait or run on one load before others are refused with 503. Default 64. */
  readonly maxQueue?: number;
  /** Default 2,048. */
  readonly maxSockets?: number;
  /** Runtimes beside the one in the process, each started with its first load. Default none. */
  readonly runtimes?: readonly SidecarConfig[];
  /** Runs that may execute at the same time on this device: 1 for one accelerator. Default: the cores of the machine. */
  readonly lanes?: number;
  /** Most memory that this process may take; a load that needs more is refused. Default null: what the device has. */
  readonly memoryBudgetBytes?: number | null;
  /** Resident memory beyond which the process ends itself, with the run that took it named. Default null: no limit. */
  readonly memoryLimitBytes?: number | null;
  /** Memory that a load must leave to the rest of the device. Default 16,777,216. */
  readonly memoryReserveBytes?: number;
  /** A load in no slot may be given up for another after this long without a request. Default 30,000. */
  readonly unloadIdleMs?: number;
  /** How soon and how often an accelerator that failed is tried again. Default 30,000 and 1,800,000. */
  readonly acceleratorRetry?: { readonly firstMs: number; readonly maxMs: number };
  /** Accelerators whose sessions live in processes of their own from the start, so that a driver that crashes takes nothing along. */
  readonly isolated?: readonly string[];
  /** Whether clients of this machine may name input tensors in shared memory objects (/dev/shm). Default false. */
  readonly sharedMemory?: boolean;
  /** Whether clients of this machine may unload and load assigned builds. Default false. */
  readonly repository?: boolean;
  /** Which operators models may use; every one that the runtime has by default. */
  readonly models?: OperatorPolicy;
  /** Whether short runs of a lone client may take place on the thread that reads its requests. Default true. */
  readonly inline?: boolean;
  /** Absolute folder for profiles of warm-up runs, emptied at start; null (the default) for the system's own. */
  readonly profileFolder?: string | null;
  /** What will be loaded first: until then clients that ask for it are told so, with 503. Default none. */
  readonly expected?: readonly ExpectedModel[];
}

export interface TensorDescription {
  readonly name: string;
  /** Open Inference Protocol datatype: FP32, UINT8, INT64, BOOL, … */
  readonly datatype: string;
  /** -1 for a free dimension. */
  readonly shape: readonly number[];
}

export interface ClassificationTarget {
  /** Output tensor `[batch, classes]` of probabilities. */
  readonly output: string;
  readonly labels: readonly string[];
}

export interface PlacementReport {
  readonly requestedProviders: readonly string[];
  /** Share of node time per provider; null when nothing proves it. */
  readonly shares: Readonly<Record<string, number>> | null;
  readonly proof: string;
  /** The accelerator that failed and is tried again in the background; absent when none did. */
  readonly failedProvider?: string;
}

/** What goes first: realtime before normal; batch only while nothing else waits or runs. */
export type InferPriority = "realtime" | "normal" | "batch";

/** How a load shares the device. What is absent has its default, and the defaults change nothing for a single client. */
export interface LoadScheduling {
  /** Rows that one run may be given; requests are joined when above 1 (the default). 1..1,024. */
  readonly maxBatchSize?: number;
  /** How long a request may wait for others to join it, when others were seen lately. Default 0. 0..1,000. */
  readonly maxQueueDelayMs?: number;
  /** Threads of the runtime, each with the model in memory. Default 1. 1..16. */
  readonly instances?: number;
  /** Requests that may wait or run before others are refused. Default `maxQueue` of the process. */
  readonly queueLimit?: number;
  /** Share of the device's time while others wait, 0..1; null for an equal part of what is left. */
  readonly quotaShare?: number | null;
  /** Shares of the slot's time by client name; a client without one has an equal part of what is left. */
  readonly clientShares?: Readonly<Record<string, number>>;
  /** What "normal" means for this slot; "batch" holds every request of it at batch. Default "normal". */
  readonly priority?: InferPriority;
}

export interface LoadRequest {
  readonly kind: "load";
  /** Chosen by the supervisor; at most 64 bytes of UTF-8; unique among the loads that live in the process. */
  readonly loadId: string;
  readonly slot: string;
  readonly path: string;
  /** `sha256:<64 hexadecimal digits>` over the whole file. */
  readonly digest: string;
  readonly sizeBytes: number;
  readonly model: string;
  readonly version: string;
  readonly classification: ClassificationTarget | null;
  /** What the release says of the model's tensors; a file that has others is not loaded. Absent: nothing is said. */
  readonly tensors?: StatedTensors;
  readonly threads: number;
  /** Longest time that one run may take; beyond it the process reports `hung` and must be killed. */
  readonly deadlineMs: number;
  /** Longest time that one instance may take to load, the start of its server included. Default 60,000. */
  readonly loadDeadlineMs?: number;
  /** Default ["cpu"]. A name that this machine's runtime does not know is refused. */
  readonly providers?: readonly string[];
  /** Name of one of the process's runtimes; absent for its own. */
  readonly runtime?: string;
  readonly scheduling?: LoadScheduling;
}

export interface LoadResult {
  readonly inputs: readonly TensorDescription[];
  readonly outputs: readonly TensorDescription[];
  readonly loadMs: number;
  readonly placement: PlacementReport;
}

export interface SelfTestRequest {
  readonly kind: "self-test";
  readonly loadId: string;
  readonly golden: { readonly path: string; readonly digest: string; readonly sizeBytes: number };
  /** `minPassedRatio`: least share of cases that must pass, 0..1. Default 1. */
  readonly limits: { readonly latencyP95Ms: number | null; readonly minPassedRatio?: number };
  /** Timed runs over all cases, after the run that is compared; at least 1. */
  readonly repeats: number;
}

export interface SelfTestCase {
  readonly name: string;
  readonly passed: boolean;
  readonly reason: string | null;
  /** Largest absolute difference over all outputs; null when it could not be computed. */
  readonly maxAbsError: number | null;
}

export interface SelfTestResult {
  /** True when every case passed and the latency limit, if any, was kept. */
  readonly passed: boolean;
  /** Why not, for a failure that is not of one case (latency over its limit). */
  readonly reason: string | null;
  readonly cases: readonly SelfTestCase[];
  /** Null when no run succeeded. */
  readonly latencyUs: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
}

/** Runs a load for a while and measures it; nothing passes or fails. Without a golden set its inputs are zeros. */
export interface BenchmarkRequest {
  readonly kind: "benchmark";
  readonly loadId: string;
  readonly golden: { readonly path: string; readonly digest: string; readonly sizeBytes: number } | null;
  /** How long the timed runs go on. */
  readonly durationMs: number;
}
export interface BenchmarkResult {
  /** From asking to the answer, thread hop included, HTTP excluded. */
  readonly latencyUs: { readonly p50: number; readonly p99: number };
  readonly runs: number;
  /** Of all runs, the untimed ones too. */
  readonly inferences: number;
  readonly busyUs: number;
  readonly golden: { readonly cases: number; readonly withinTolerance: number } | null;
  /** Rows of golden outputs with class probabilities; null without a classification. */
  readonly topClass: { readonly rows: number; readonly agreeing: number } | null;
}

/** From the answer on, new requests for the slot's model go to this load; those in flight finish where they are. */
export interface ActivateRequest {
  readonly kind: "activate";
  readonly slot: string;
  readonly loadId: string;
}
export interface ActivateResult {
  readonly previousLoadId: string | null;
}

/**
 * From the answer on, the load is given a copy of a share of what the slot's active load is asked, in idle gaps, and what
 * the two answer is compared. It ends when the load is activated or unloaded, or another takes its place.
 */
export interface ShadowRequest {
  readonly kind: "shadow";
  readonly slot: string;
  readonly loadId: string;
  /** Of the requests, 0..1. */
  readonly share: number;
  /** For models without classes: |a − b| ≤ absolute + relative × |a|. */
  readonly tolerance: { readonly absolute: number; readonly relative: number };
}

/** Answers after the last run on the load has finished. A load that is active in its slot is refused. */
export interface UnloadRequest {
  readonly kind: "unload";
  readonly loadId: string;
}

/** Requests for the slot's model get 503 with the reason until the next `activate` of the slot. */
export interface StopServingRequest {
  readonly kind: "stop-serving";
  readonly slot: string;
  readonly reason: string;
}

/** Takes what was counted since the last `collect` and starts again at zero. */
export interface CollectRequest {
  readonly kind: "collect";
}

/** A slot's share of a telemetry window, without the energy that only the supervisor knows. */
export type LoadStatistics = Omit<SlotWindow, "activeJ" | "joulesPerInference"> & { readonly loadId: string };

export interface CollectResult {
  /** Every load that is active or was used since the last `collect`. */
  readonly loads: readonly LoadStatistics[];
}

/** The answer to an event `repository`. */
export interface RepositoryDoneRequest {
  readonly kind: "repository-done";
  readonly askId: number;
  /** Why it was not done; null when it was. */
  readonly refusal: string | null;
}

/** Whether the device is hot or throttles: batch work stands still as long as it does. */
export interface ThrottleRequest {
  readonly kind: "throttle";
  readonly throttled: boolean;
}

/** What the runtime in the process was built with. */
export interface OffersRequest {
  readonly kind: "offers";
}
export interface OffersResult {
  readonly providers: readonly string[];
}

export interface PingRequest {
  readonly kind: "ping";
}
export interface PingResult {
  readonly rssBytes: number;
  readonly loads: number;
  readonly inflight: number;
}

/** Stops accepting, waits for requests in flight for at most `drainMs`, answers, exits with status 0. */
export interface ShutdownRequest {
  readonly kind: "shutdown";
  readonly drainMs: number;
}

export type ServingRequest =
  | LoadRequest
  | SelfTestRequest
  | BenchmarkRequest
  | ActivateRequest
  | ShadowRequest
  | UnloadRequest
  | StopServingRequest
  | CollectRequest
  | RepositoryDoneRequest
  | ThrottleRequest
  | OffersRequest
  | PingRequest
  | ShutdownRequest;

/** Result type per request kind. */
export interface ServingResults {
  readonly load: LoadResult;
  readonly "self-test": SelfTestResult;
  readonly benchmark: BenchmarkResult;
  readonly activate: ActivateResult;
  readonly shadow: Record<string, never>;
  readonly unload: Record<string, never>;
  readonly "stop-serving": Record<string, never>;
  readonly collect: CollectResult;
  readonly "repository-done": Record<string, never>;
  readonly throttle: Record<string, never>;
  readonly offers: OffersResult;
  readonly ping: PingResult;
  readonly shutdown: Record<string, never>;
}

export type ServingErrorCode =
  | "request_invalid"
  | "file_unreadable"
  | "read_failed"
  | "length_mismatch"
  | "digest_mismatch"
  | "golden_invalid"
  | "load_unknown"
  | "load_exists"
  | "load_active"
  | "slot_mismatch"
  | "output_unknown"
  | "too_many_loads"
  /** The model does not fit; the message says how many bytes are missing. */
  | "memory_insufficient"
  /** And the codes of @fairlead/inference: model_load_failed, provider_unknown, inference_deadline, … */
  | (string & {});

export interface ServingError {
  readonly code: ServingErrorCode;
  readonly message: string;
  readonly hint?: string;
}

export interface ServingRequestMessage {
  readonly id: number;
  readonly request: ServingRequest;
}

export type ServingResponseMessage =
  | { readonly id: number; readonly ok: true; readonly result: ServingResults[ServingRequest["kind"]] }
  | { readonly id: number; readonly ok: false; readonly error: ServingError };

export interface ServingEventMessage {
  readonly event: ServingEvent;
}

/** Everything that the process sends: a message has either `id` or `event`. */
export type ServingMessage = ServingResponseMessage | ServingEventMessage;

export type { SlotErrorKind };
