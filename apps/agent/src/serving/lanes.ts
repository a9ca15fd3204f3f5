export interface LanesAsked {
  /** What the configuration says; null for the default. */
  readonly lanes: number | null;
  /** Of one run. */
  readonly threads: number;
  /** The preferred one first. */
  readonly providers: readonly string[];
}

/**
 * How many runs of different models may take place at once. Quotas divide lanes: an accelerator is one, since it runs one
 * after the other whatever is asked of it, and processors are as many as runs of so many threads find room.
 */
export function toLanes({ lanes, threads, providers }: LanesAsked, processors: number): number {
  if (lanes !== null) return lanes;
  return providers[0] === "cpu" ? Math.max(1, Math.floor(processors / threads)) : 1;
}
