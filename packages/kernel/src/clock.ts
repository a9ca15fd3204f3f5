/** Source of time. Everything below the adapters floor receives milliseconds instead of this port. */
export interface Clock {
  /** Wall clock, milliseconds since the Unix epoch; may jump. */
  nowMs(): number;
  /** Monotonic milliseconds from an arbitrary origin; never jumps. */
  monotonicMs(): number;
}
