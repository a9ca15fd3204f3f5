import type { DeviceEpoch, Transaction } from "@fairlead/store";

/** Messages kept beyond a hole before the hole is given up at once. */
const maxAhead = 10_000;
const keepEpochs = 8;

export interface Position {
  readonly device: string;
  readonly epoch: string;
  readonly seq: number;
}

interface EpochState {
  row: DeviceEpoch;
  readonly ahead: Set<number>;
  readonly isNew: boolean;
}

/** Which sequence numbers of which epochs are stored, for the length of one transaction. */
export interface SequenceTracker {
  /** False when the message is stored already. */
  accept(position: Position, nowMs: number): Promise<boolean>;
  /** Writes what changed; the answer is what may be acknowledged after the commit. */
  save(): Promise<readonly { readonly device: string; readonly epoch: string; readonly upTo: number }[]>;
}

/** Moves over everything contiguous; the numbers passed leave `ahead`. */
export function advance(upTo: number, ahead: Set<number>): number {
  let next = upTo;
  while (ahead.delete(next + 1)) next += 1;
  return next;
}

/** Gives up the first hole: what is missing is counted and everything contiguous after it is covered. */
export function skipGap(row: DeviceEpoch, ahead: Set<number>): DeviceEpoch {
  let first = Number.POSITIVE_INFINITY;
  for (const seq of ahead) first = Math.min(first, seq);
  if (!Number.isFinite(first)) return { ...row, gapSinceMs: null };
  const storedUpTo = advance(first - 1, ahead);
  return { ...row, gaps: row.gaps + (first - row.storedUpTo - 1), storedUpTo };
}

export function createSequenceTracker(tx: Transaction): SequenceTracker {
  const states = new Map<string, EpochState>();

  const load = async ({ device, epoch, seq }: Position, nowMs: number): Promise<EpochState> => {
    const key = `${device}/${epoch}`;
    const known = states.get(key);
    if (known !== undefined) return known;
    const stored = await tx.sequences.getEpoch(device, epoch);
    const fresh = { device, epoch, storedUpTo: seq - 1, gaps: 0, gapSinceMs: null, touchedAtMs: nowMs };
    const ahead = new Set((stored?.gapSinceMs ?? null) === null ? [] : await tx.sequences.listAhead(device, epoch));
    const state = { row: stored ?? fresh, ahead, isNew: stored === undefined };
    states.set(key, state);
    return state;
  };

  return {
    accept: async (position, nowMs) => {
      const { seq } = position;
      const state = await load(position, nowMs);
      if (seq <= state.row.storedUpTo || state.ahead.has(seq)) return false;
      state.ahead.add(seq);
      if (seq !== state.row.storedUpTo + 1) await tx.sequences.addAhead(position);
      const storedUpTo = advance(state.row.storedUpTo, state.ahead);
      const gapSinceMs = state.ahead.size === 0 ? null : (state.row.gapSinceMs ?? nowMs);
      state.row = { ...state.row, storedUpTo, gapSinceMs, touchedAtMs: nowMs };
      if (state.ahead.size > maxAhead) state.row = skipGap(state.row, state.ahead);
      return true;
    },
    save: async () => {
      const acks = [];
      for (const { row, isNew } of states.values()) {
        await tx.sequences.saveEpoch(row);
        await tx.sequences.removeAheadUpTo({ ...row, seq: row.storedUpTo });
        if (isNew) await tx.sequences.forgetOldEpochs(row, keepEpochs);
        acks.push({ device: row.device, epoch: row.epoch, upTo: row.storedUpTo });
      }
      return acks;
    },
  };
}
