export { assertNever } from "./assert-never.ts";
export { toBackoffDelayMs, type BackoffPolicy } from "./backoff.ts";
export type { Clock } from "./clock.ts";
export { CodedError, hasErrorCode, toErrorCode, toErrorMessage, type CodedErrorOptions } from "./coded-error.ts";
export { CondensedOutput, type CondensedOutputOptions } from "./condensed-output.ts";
export { Lifecycle, type Service } from "./lifecycle.ts";
export { LineCondenser, LineSplitter, type CondensedLine, type LineCondenserOptions } from "./line-condenser.ts";
export { silentLogger, type LogFields, type Logger } from "./logger.ts";
