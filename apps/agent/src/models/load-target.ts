import type { ExecutionProvider } from "@fairlead/protocol";
import { toProviders } from "./placement.ts";

/** What a configured runtime offers beside the one in the serving process. */
export interface RuntimeOffer {
  readonly name: string;
  readonly providers: readonly ExecutionProvider[];
  /** Slots that are its own. */
  readonly slots: readonly string[];
}

export interface DeviceOffers {
  /** Of the runtime in the serving process, the preferred one first. */
  readonly providers: readonly ExecutionProvider[];
  readonly runtimes: readonly RuntimeOffer[];
}

/** Which runtime loads a build, and with which providers; without a name it is the one in the serving process. */
export interface LoadTarget {
  readonly providers: readonly ExecutionProvider[];
  readonly runtime?: string;
}

/**
 * A slot that was given to a runtime runs there. Else the first provider that the build names and anybody offers
 * decides, the serving process before others.
 */
export function toLoadTarget(slot: string, wanted: readonly ExecutionProvider[], offers: DeviceOffers): LoadTarget {
  const toTarget = ({ name, providers }: RuntimeOffer) => ({
    runtime: name,
    providers: toProviders(wanted, providers),
  });
  const owner = offers.runtimes.find(({ slots }) => slots.includes(slot));
  if (owner !== undefined) return toTarget(owner);
  for (const provider of wanted) {
    if (offers.providers.includes(provider)) break;
    const offering = offers.runtimes.find(({ providers }) => providers.includes(provider));
    if (offering !== undefined) return toTarget(offering);
  }
  return { providers: toProviders(wanted, offers.providers) };
}

/** Everything that some runtime of the device offers, without repetition. */
export function listProviders({ providers, runtimes }: DeviceOffers): ExecutionProvider[] {
  return [...new Set([...providers, ...runtimes.flatMap((runtime) => runtime.providers)])];
}
