import type { Evidence, Measurement } from "@fairlead/protocol";
import { toCanonicalDigest, zeroDigest } from "./canonical-digest.ts";

export interface ChainHead {
  readonly index: number;
  readonly head: string;
}

export interface ChainLinkInput {
  /** Head of the link before; null makes the first link. */
  readonly previous: ChainHead | null;
  readonly tsMs: number;
  readonly trigger: Evidence["trigger"];
  readonly measurements: readonly Measurement[];
  /** True when every measured file is listed, false when only the changed ones are. */
  readonly full: boolean;
}

/** The next link of a measurement chain. `head` covers every other field, so that none can be changed afterwards. */
export function toChainLink({ previous, tsMs, trigger, measurements, full }: ChainLinkInput): Evidence {
  const covered = {
    index: previous === null ? 0 : previous.index + 1,
    tsMs,
    previous: previous === null ? zeroDigest : previous.head,
    trigger,
    full,
    measurements: [...measurements],
  };
  return { ...covered, head: toCanonicalDigest(covered) };
}

/** How a link stands to the last one that was accepted. Only `next` may be accepted; `replay` changes nothing. */
export type ChainVerdict =
  | { readonly kind: "next" }
  /** This very link was accepted before: a redelivery. */
  | { readonly kind: "replay"; readonly reason: string }
  /** Links between the last one and this one are missing. */
  | { readonly kind: "gap"; readonly reason: string; readonly missing: number }
  /** Another link claims a place that is taken, or does not continue the last one. `restarted`: it begins at 0 again. */
  | { readonly kind: "fork"; readonly reason: string; readonly restarted: boolean }
  /** The link's own head does not fit its content. */
  | { readonly kind: "altered"; readonly reason: string };

/**
 * Judges a link against the last accepted head (null: none yet). `acceptedHead` is the head stored earlier for
 * this link's index, if any; without it an old index counts as a fork, since a replay cannot be proved.
 */
export function verifyChain(
  last: ChainHead | null,
  evidence: Evidence,
  acceptedHead: string | null = null,
): ChainVerdict {
  const { head, ...covered } = evidence;
  if (toCanonicalDigest(covered) !== head) {
    return { kind: "altered", reason: `link ${evidence.index}: the head does not fit the content` };
  }
  const known = last !== null && evidence.index === last.index ? last.head : acceptedHead;
  if (last !== null && evidence.index <= last.index && known === head) {
    return { kind: "replay", reason: `link ${evidence.index} was accepted before` };
  }
  const next = last === null ? 0 : last.index + 1;
  if (evidence.index > next) {
    const missing = evidence.index - next;
    return { kind: "gap", reason: `links ${next} to ${evidence.index - 1} are missing`, missing };
  }
  const expectedPrevious = last === null ? zeroDigest : last.head;
  if (evidence.index === next && evidence.previous === expectedPrevious) return { kind: "next" };
  const restarted = last !== null && evidence.index === 0 && evidence.previous === zeroDigest;
  const reason = restarted
    ? `the chain begins again at 0 although link ${last.index} was accepted`
    : `link ${evidence.index} does not continue the accepted chain`;
  return { kind: "fork", reason, restarted };
}

/**
 * All measurements known after a link: a full list replaces, a partial one overlays by kind and name.
 * Null when nothing full was ever seen: a partial list alone says nothing about the rest.
 */
export function foldMeasurements(
  known: readonly Measurement[] | null,
  evidence: Pick<Evidence, "full" | "measurements">,
): Measurement[] | null {
  if (evidence.full) return [...evidence.measurements];
  if (known === null) return null;
  const folded = new Map(known.map((measurement) => [toMeasurementKey(measurement), measurement]));
  for (const measurement of evidence.measurements) folded.set(toMeasurementKey(measurement), measurement);
  return [...folded.values()];
}

/** Kind and name, which together identify what was measured. */
export function toMeasurementKey({ kind, name }: Pick<Measurement, "kind" | "name">): string {
  return `${kind}:${name}`;
}
