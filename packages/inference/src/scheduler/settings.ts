import type { TensorSpec } from "../tensor.ts";

/** Realtime goes before normal; batch runs only while nothing else waits or runs. */
export type Priority = "realtime" | "normal" | "batch";

export type Level = 0 | 1 | 2;

const levels: Readonly<Record<Priority, Level>> = { realtime: 0, normal: 1, batch: 2 };

/** The level of batch work; everything below it is foreground. */
export const batchLevel: Level = 2;

export interface ModelSettings {
  /** Rows of one run; requests are joined when above 1. */
  readonly maxBatchSize: number;
  /** How long a request may wait for others, when others were seen lately. */
  readonly maxQueueDelayMs: number;
  /** Requests that may wait or run. */
  readonly queueLimit: number;
  /** Share of the device's time while others wait, 0..1; null for an equal part of what is left. */
  readonly quotaShare: number | null;
  /** Shares of the slot's time by client name. */
  readonly clientShares: Readonly<Record<string, number>>;
  /** What "normal" means for this model; "batch" holds all of its requests there. */
  readonly priority: Priority;
}

/** The changes-nothing defaults: no joining, no shares, one class. */
export const defaultSettings: ModelSettings = {
  maxBatchSize: 1,
  maxQueueDelayMs: 0,
  queueLimit: 64,
  quotaShare: null,
  clientShares: {},
  priority: "normal",
};

/** A slot held at batch stays there whatever a request says of itself: its work must never outrank that of others. */
export function toLevel(asked: Priority, slot: Priority): Level {
  if (slot === "batch") return batchLevel;
  return levels[asked === "normal" ? slot : asked];
}

/** Only rows that the model itself calls free may be joined: the first dimension of every input and output. */
export function isJoinable(model: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] }) {
  return (
    model.inputs.length > 0 &&
    [...model.inputs, ...model.outputs].every(
      // Strings have no width by which joined answers could be taken apart.
      ({ shape, datatype }) => shape[0] === -1 && datatype !== "BYTES",
    )
  );
}
