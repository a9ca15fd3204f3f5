export { checkBatch, checkInputs, checkRows, haveOneRowName, toSharedRows, type SharedRows } from "./check-inputs.ts";
export { checkOutputs } from "./check-outputs.ts";
export { maxInlineModelBytes } from "./inline/inline-lane.ts";
export { createOnnxRuntime, type OnnxInferenceRuntime, type OnnxRuntimeOptions } from "./onnxruntime.ts";
export {
  maxTensorElements,
  parseInferRequest,
  type InferRequest,
  type RequestBody,
  type TargetModel,
} from "./open-inference/infer-request.ts";
export { AnswerMemo } from "./open-inference/answer-memo.ts";
export { toInferResponse, type AnsweringModel, type InferResponse } from "./open-inference/infer-response.ts";
export type { SharedRange } from "./open-inference/request-json.ts";
export type { InsteadOfValues, RequestedOutput } from "./open-inference/requested-outputs.ts";
export { parseJsonData } from "./open-inference/json-data.ts";
export { RequestMemo } from "./open-inference/request-memo.ts";
export { ProtocolError, type ProtocolErrorCode } from "./open-inference/protocol-error.ts";
export {
  decideReturn,
  noteFailure,
  noteReturn,
  toReturnDelayMs,
  type ReturnDecision,
  type ReturnPolicy,
  type ReturnState,
} from "./placement/return-plan.ts";
export type {
  InferenceRuntime,
  InferOptions,
  InferResult,
  LoadedModel,
  LoadOptions,
  Placement,
  PlacementChange,
} from "./port.ts";
export { createRuntimes, type Runtimes, type RuntimesOptions } from "./runtimes.ts";
export {
  createOpenInferenceRuntime,
  type OpenInferenceRuntimeOptions,
  type SidecarRuntime,
} from "./sidecar/open-inference-runtime.ts";
export type { SidecarControl, TensorForm } from "./sidecar/sidecar-client.ts";
export { parseSidecarUrl, type SidecarAddress } from "./sidecar/sidecar-address.ts";
export type { SidecarEvent } from "./sidecar/sidecar-process.ts";
export { RuntimeError, type RuntimeErrorCode } from "./runtime-error.ts";
export { decideAdmission, estimateLoadBytes, type Admission, type MemoryState } from "./scheduler/admission.ts";
export {
  DeviceScheduler,
  type ScheduledAsk,
  type ScheduledModel,
  type ScheduledResult,
} from "./scheduler/device-scheduler.ts";
export { SchedulerError, type SchedulerErrorCode } from "./scheduler/scheduler-error.ts";
export {
  batchLevel,
  defaultSettings,
  isJoinable,
  toLevel,
  toMaxBatchSize,
  type ModelSettings,
  type Priority,
} from "./scheduler/settings.ts";
export {
  createTensorData,
  isDatatype,
  toElementBytes,
  toElementCount,
  viewTensorData,
  type Datatype,
  type Tensor,
  type TensorData,
  type TensorSpec,
} from "./tensor.ts";
