import type { ExecutionProvider } from "@fairlead/protocol";
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
