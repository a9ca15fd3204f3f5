import type { EventData, ExecutionProvider } from "@fairlead/protocol";
import type { PlacementReport } from "../serve/ipc.ts";

/** What a build is loaded with: the providers that it names and this device offers, in this device's order. */
export function toProviders(
  wanted: readonly ExecutionProvider[],
  offered: readonly ExecutionProvider[],
): readonly ExecutionProvider[] {
  const both = offered.filter((provider) => wanted.includes(provider));
  // A build that was chosen before the configuration changed keeps what it asks for, and its load says what is wrong.
  return both.length > 0 ? both : wanted;
}

export interface MissedPlacement {
  readonly wanted: string;
  /** Share of node time on the wanted provider; a miss is a fact, so this is always 0. */
  readonly share: 0;
  readonly reason: string;
}

/** The provider that was wanted first, when it is proved that not one node ran on it; the cpu is never missed. */
export function toMissedPlacement({ requestedProviders, shares, proof }: PlacementReport): MissedPlacement | null {
  const wanted = requestedProviders[0] ?? "cpu";
  if (wanted === "cpu" || shares === null || (shares[wanted] ?? 0) > 0) return null;
  return { wanted: wanted.slice(0, 32), share: 0, reason: proof.slice(0, 256) };
}

export interface RegainedPlacement {
  readonly wanted: string;
  readonly share: number;
  readonly reason: string;
}

/** The provider that was wanted first, when part of the model is proved to run there. */
function toProvedPlacement({ requestedProviders, shares, proof }: PlacementReport): RegainedPlacement | null {
  const wanted = requestedProviders[0] ?? "cpu";
  const share = Math.min(1, shares?.[wanted] ?? 0);
  return share > 0 ? { wanted: wanted.slice(0, 32), share, reason: proof.slice(0, 256) } : null;
}

const maxRemembered = 16;

/**
 * What one slot has to say of where its builds run: each miss, and once the end of it, also when the serving process was
 * started again between them.
 */
export class PlacementNews {
  readonly #slot: string;
  readonly #emit: (data: EventData) => void;
  /** Digests of builds that were missed where they were wanted, the last ones last. */
  readonly #missed = new Set<string>();

  constructor(slot: string, emit: (data: EventData) => void) {
    this.#slot = slot;
    this.#emit = emit;
  }

  note(buildDigest: string, placement: PlacementReport): void {
    const about = { slot: this.#slot, buildDigest };
    const missed = toMissedPlacement(placement);
    if (missed !== null) {
      this.#missed.delete(buildDigest);
      this.#missed.add(buildDigest);
      for (const digest of this.#missed) if (this.#missed.size > maxRemembered) this.#missed.delete(digest);
      return this.#emit({ kind: "placement-missed", ...about, ...missed });
    }
    const proved = toProvedPlacement(placement);
    if (proved === null || !this.#missed.delete(buildDigest)) return;
    this.#emit({ kind: "placement-regained", ...about, ...proved });
  }
}
