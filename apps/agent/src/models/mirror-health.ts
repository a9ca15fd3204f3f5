import { toBackoffDelayMs } from "@fairlead/kernel";

export interface Aside {
  readonly failures: number;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}
/** Mirrors that failed, by name; whoever is not in it is asked in its turn. */
export type MirrorHealth = ReadonlyMap<string, Aside>;

const backoff = { baseMs: 30_000, maxMs: 3_600_000 };

/** The health after a mirror failed, lied, dripped or pointed elsewhere: it is left alone for longer each time. */
export function withFailure(
  health: MirrorHealth,
  name: string,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
): MirrorHealth {
  const failures = (health.get(name)?.failures ?? 0) + 1;
  // At least the first wait: a back-off of nothing would ask a liar again at once.
  const delayMs = backoff.baseMs + toBackoffDelayMs(backoff, failures - 1, random);
  return new Map([...health, [name, { failures, untilMs: nowMs + delayMs }]]);
}

/** A mirror that served what was asked for is asked in its turn again. */
export function withSuccess(health: MirrorHealth, name: string): MirrorHealth {
  return new Map([...health].filter(([other]) => other !== name));
}

/** Mirrors in their order without those that are put aside, and the control plane last, which is never put aside. */
export function toUsable<Source extends { readonly kind: "plane" | "mirror"; readonly name: string }>(
  sources: readonly Source[],
  health: MirrorHealth,
  nowMs: number,
): Source[] {
  const isAside = ({ name }: Source): boolean => nowMs < (health.get(name)?.untilMs ?? 0);
  return [
    ...sources.filter((source) => source.kind === "mirror" && !isAside(source)),
    ...sources.filter(({ kind }) => kind === "plane"),
  ];
}
