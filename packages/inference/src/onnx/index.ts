export { inspectOnnxBytes, inspectOnnxFile, type InspectionOptions, type OnnxInspection } from "./inspect.ts";
export { InspectionError, type InspectionErrorCode } from "./inspection-error.ts";
export type { Precision, Quantization } from "./precision.ts";
export { defaultInspectionLimits, type InspectionLimits } from "./limits.ts";
export type { OperatorPolicy } from "./operator-policy.ts";
export { knownDomains, toKnownOperators } from "./operators.ts";
export type { TensorInfo } from "./value-info.ts";
