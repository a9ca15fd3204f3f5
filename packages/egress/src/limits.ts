/** Caps of one request. Times in milliseconds. */
export interface EgressLimits {
  /** Of the body; the header has its own cap. */
  readonly maxResponseBytes: number;
  /** From the first step to the answer's beginning: resolving, connecting, handshake, waiting. */
  readonly answerTimeoutMs: number;
  /** Without a byte in either direction. */
  readonly idleTimeoutMs: number;
  /** Of everything, the body included. */
  readonly totalTimeoutMs: number;
  /** Every `speedWindowMs` of the body must bring this many bytes per second on average; 0 asks nothing. */
  readonly minBytesPerSecond: number;
  readonly speedWindowMs: number;
}

/** For short answers, such as a receiver's acknowledgement. */
export const defaultLimits: EgressLimits = {
  maxResponseBytes: 65_536,
  answerTimeoutMs: 10_000,
  idleTimeoutMs: 10_000,
  totalTimeoutMs: 20_000,
  minBytesPerSecond: 256,
  speedWindowMs: 5_000,
};

export const maxHeaderBytes = 16_384;
