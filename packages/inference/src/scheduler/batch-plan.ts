import type { Tensor } from "../tensor.ts";
import type { Ticket, WaitingLine } from "./waiting-line.ts";

export interface JoinState {
  /** Requests that wait for this model in the foreground or, for batch work, in the background. */
  readonly waiting: number;
  /** Rows of those that would share the run. */
  readonly rows: number;
  readonly maxBatchSize: number;
  /** Most requests that were waiting or running at once since the run before. */
  readonly seenAtOnce: number;
  readonly oldestMs: number;
  readonly maxQueueDelayMs: number;
  readonly nowMs: number;
}

/** Until when an idle instance waits for more rows; null to run at once. Who is alone never waits. */
export function decideJoinWait(state: JoinState): number | null {
  if (state.maxQueueDelayMs === 0 || state.rows >= state.maxBatchSize) return null;
  if (state.waiting >= state.seenAtOnce) return null;
  const untilMs = state.oldestMs + state.maxQueueDelayMs;
  return untilMs > state.nowMs ? untilMs : null;
}

/**
 * What must be equal for two requests to share a run: every dimension but the first. Null when the inputs of this one
 * have different numbers of rows, or none, so that its outputs could not be told from those of others.
 */
export function toJoinKey(inputs: readonly Tensor[]): string | null {
  const rows = inputs[0]?.shape[0];
  if (rows === undefined || rows < 1 || inputs.some(({ shape }) => shape[0] !== rows)) return null;
  const parts = inputs.map(({ name, shape }) => `${name}:${shape.slice(1).join(",")}`);
  return (parts.length === 1 ? parts : parts.toSorted()).join(";");
}

/**
 * Takes the requests of one run, clients in turn of what they have used. Other keys keep their places: the first that
 * does not fit ends the run, so that nobody is overtaken for ever.
 */
export function gather<Payload>(
  line: WaitingLine<Payload>,
  maxBatchSize: number,
  onTaken: (ticket: Ticket<Payload>) => void,
): Ticket<Payload>[] {
  const taken: Ticket<Payload>[] = [];
  let rows = 0;
  for (;;) {
    const head = line.head();
    if (head === undefined) return taken;
    const first = taken[0];
    if (first !== undefined) {
      if (head.joinKey === null || head.joinKey !== first.joinKey || rows + head.rows > maxBatchSize) return taken;
    }
    line.take(head);
    onTaken(head);
    taken.push(head);
    rows += head.rows;
    if (head.joinKey === null || rows >= maxBatchSize) return taken;
  }
}
