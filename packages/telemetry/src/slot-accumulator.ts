import type { SlotErrorKind, SlotWindow } from "@fairlead/protocol";
import { recordConfidence, toEmptyConfidence } from "./confidence-histogram.ts";
import { ExponentialHistogram } from "./exponential-histogram.ts";

/** A slot's share of a window without the energy, which only the supervisor knows. */
export type SlotCounts = Omit<SlotWindow, "activeJ" | "joulesPerInference" | "shadow">;

export interface SlotIdentity {
  readonly slot: string;
  readonly model: string;
  readonly version: string;
  readonly buildDigest: string;
  /** False when the release names no classification output: then there is no confidence and no class to count. */
  readonly classifying: boolean;
}

const maxLabel = 99_999;
const maxOutput = 1e15;

/**
 * Counts what one build does in one slot, one call per request, without allocation on the hot path.
 * `requests` = all that were answered, in error or not; latency is recorded for the successful ones alone.
 */
export class SlotAccumulator {
  readonly #identity: SlotIdentity;
  readonly #latency = new ExponentialHistogram();
  #requests = 0;
  #errors: Partial<Record<SlotErrorKind, number>> = {};
  #confidence = toEmptyConfidence();
  #classes = new Map<number, number>();
  #outputMin = Number.POSITIVE_INFINITY;
  #outputMax = Number.NEGATIVE_INFINITY;
  #nanCount = 0;
  #busyUs = 0;

  constructor(identity: SlotIdentity) {
    this.#identity = identity;
  }

  /** One answered request and its latency in microseconds. */
  recordSuccess(latencyUs: number): void {
    this.#requests += 1;
    this.#latency.record(latencyUs);
  }

  recordError(kind: SlotErrorKind): void {
    this.#requests += 1;
    this.#errors[kind] = (this.#errors[kind] ?? 0) + 1;
  }

  /** One prediction: label index 0..99,999 and top-1 probability 0..1. What is out of range is not counted. */
  recordPrediction(label: number, probability: number): void {
    if (!Number.isInteger(label) || label < 0 || label > maxLabel) return;
    if (!recordConfidence(this.#confidence, probability)) return;
    this.#classes.set(label, (this.#classes.get(label) ?? 0) + 1);
  }

  /** Range of one result's finite values, and how many were NaN. An empty range is (Infinity, -Infinity). */
  recordOutput(min: number, max: number, nanCount: number): void {
    if (min < this.#outputMin) this.#outputMin = min;
    if (max > this.#outputMax) this.#outputMax = max;
    this.#nanCount += nanCount;
  }

  /** Time in microseconds during which the runtime worked for this build. */
  recordBusy(busyUs: number): void {
    if (busyUs > 0) this.#busyUs += busyUs;
  }

  /** True when something was counted since the last `take`. */
  hasCounts(): boolean {
    return this.#requests > 0 || this.#busyUs > 0;
  }

  /** What was counted since the last `take`; counting starts again at zero. */
  take(): SlotCounts {
    const { classifying, ...names } = this.#identity;
    const counts: SlotCounts = {
      ...names,
      requests: this.#requests,
      errors: this.#errors,
      latencyUs: this.#latency.toData(),
      confidence: classifying ? this.#confidence : null,
      classCounts: classifying ? Object.fromEntries(this.#classes) : null,
      outputMin: toOutput(this.#outputMin),
      outputMax: toOutput(this.#outputMax),
      nanCount: this.#nanCount,
      busyUs: Math.min(Math.round(this.#busyUs), Number.MAX_SAFE_INTEGER),
    };
    this.#latency.clear();
    this.#requests = 0;
    this.#errors = {};
    this.#confidence = toEmptyConfidence();
    this.#classes = new Map();
    this.#outputMin = Number.POSITIVE_INFINITY;
    this.#outputMax = Number.NEGATIVE_INFINITY;
    this.#nanCount = 0;
    this.#busyUs = 0;
    return counts;
  }
}

/** Null when nothing was seen; held in the wire schema's bounds otherwise. */
function toOutput(value: number): number | null {
  return Number.isFinite(value) ? Math.min(Math.max(value, -maxOutput), maxOutput) : null;
}
