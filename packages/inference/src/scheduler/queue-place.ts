/** What a full queue looks like to one more request. */
export interface FullQueue {
  /** Part of the places, 0..1, that the asking client holds. */
  readonly heldRatio: number;
  /** Part of the slot's time, 0..1, that is the asking client's among those that are there. */
  readonly shareRatio: number;
  /** The same of the client that holds most for its weight at the asked level; null when it is the asking one or nobody. */
  readonly greediest: { readonly heldRatio: number; readonly shareRatio: number } | null;
  /** Requests of a lower level wait. */
  readonly lowerWaits: boolean;
}

export type Place =
  | { readonly kind: "refuse"; readonly code: "overloaded" | "quota_exceeded" }
  | { readonly kind: "displace"; readonly whom: "lower" | "greediest"; readonly code: "overloaded" | "quota_exceeded" };

/**
 * Who loses when no place is left: lower work first; then the client that is over its quota while others are there;
 * without such a client nobody is to blame, and the newest request is refused.
 */
export function decidePlace(queue: FullQueue): Place {
  if (queue.lowerWaits) return { kind: "displace", whom: "lower", code: "overloaded" };
  if (queue.heldRatio > queue.shareRatio) return { kind: "refuse", code: "quota_exceeded" };
  const { greediest } = queue;
  if (greediest !== null && greediest.heldRatio > greediest.shareRatio && queue.heldRatio < queue.shareRatio) {
    return { kind: "displace", whom: "greediest", code: "quota_exceeded" };
  }
  return { kind: "refuse", code: "overloaded" };
}
