import type { TensorSpec } from "../tensor.ts";

/** Realtime goes before normal; batch runs only while nothing else waits or runs. */
export type Priority = "realtime" | "normal" | "batch";

/** A class of work; a lower one is served first, whatever quotas say. */
export type Level = 0 | 1 | 2;

/** Place among the requests of one client in one queue, the lowest first. */
export type Rank = 0 | 1 | 2;

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
  /** The slot's class among others, and what a request has that says nothing. */
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

/** The slot's, which its operator chose. A request may wait as batch; nothing that it says lets it pass other slots. */
export function toLevel(asked: Priority, slot: Priority): Level {
  return asked === "batch" ? batchLevel : levels[slot];
}

export function toRank(asked: Priority): Rank {
  return levels[asked];
}

/** `max_batch_size` as Triton means it: rows of one request and of one run; 0 where the first dimension is no batch. */
export function toMaxBatchSize(model: Parameters<typeof isJoinable>[0], settings: ModelSettings): number {
  return settings.maxBatchSize > 1 && isJoinable(model) ? settings.maxBatchSize : 0;
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
