/** For how long a device that nobody tells what is newest goes on as before, and what it does then. */
export interface FreshnessPolicy {
  /** Beyond the end of the last statement of freshness; null: for ever. */
  readonly maxStaleServeMs: number | null;
  readonly onStale: "stop" | "alarm";
}

export interface Freshness {
  /** `stale`: takes nothing new and serves on; `overdue`: longer than the policy allows. */
  readonly state: "fresh" | "stale" | "overdue";
  /** When the last statement that was verified ended or ends; null: none can be read. */
  readonly untilMs: number | null;
  readonly reason: string;
  /** Why nothing may be served; null while serving goes on. */
  readonly held: string | null;
}

/** The policy under its names in the configuration, for the birth: the plane shows what each device would do. */
export function toPolicyFacts({ maxStaleServeMs, onStale }: FreshnessPolicy): Record<string, string | number | null> {
  return { "trust.maxStaleServeMs": maxStaleServeMs, "trust.onStale": onStale };
}

const dayMs = 86_400_000;
const toDays = (ms: number): string => `${(ms / dayMs).toFixed(ms % dayMs === 0 ? 0 : 2)} days`;

/** Fails closed: a time or a statement that cannot be read is as bad as one that ended long ago, once a limit is set. */
export function judgeFreshness(untilMs: number | null, nowMs: number, policy: FreshnessPolicy): Freshness {
  const { maxStaleServeMs, onStale } = policy;
  // Written so that NaN is not fresh.
  if (untilMs !== null && nowMs < untilMs)
    return { state: "fresh", untilMs, reason: `nothing newer is known until ${toText(untilMs)}`, held: null };
  const ended =
    untilMs === null
      ? "no statement of what is newest can be read"
      : `the last statement of what is newest ended at ${toText(untilMs)}`;
  const isWithin = maxStaleServeMs === null || (untilMs !== null && nowMs - untilMs <= maxStaleServeMs);
  if (isWithin) return { state: "stale", untilMs, reason: `${ended}; nothing new is taken`, held: null };
  const reason = `${ended}, more than the ${toDays(maxStaleServeMs)} of trust.maxStaleServeMs ago`;
  return { state: "overdue", untilMs, reason, held: onStale === "stop" ? reason : null };
}

function toText(ms: number): string {
  return Number.isFinite(ms) && Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : "an unreadable time";
}
